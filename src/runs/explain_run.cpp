#include "runs/explain_run.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/aten.h"
#include "base/machine.h"
#include "base/number_text.h"
#include "base/text.h"
#include "model/bundle_folder.h"
#include "record/history.h"
#include "record/run_folder.h"
#include "runs/prompt_encoder.h"
#include "runs/run_model.h"
#include "steplapse/bundle.h"
#include "steplapse/engine.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

/// Answers from the log up to a step, and ends the run where it was ended.
class FirstSteps : public LogReader {
 public:
  FirstSteps(const RunLog& log, int64_t last_step) : LogReader(log, last_step), stopped_at_(log.stopped_at()) {}
  Verdict stepped(const Step& step) override {
    Verdict verdict = LogReader::stepped(step);
    verdict.stop = stopped_at_ == step.number;
    return verdict;
  }

 private:
  std::optional<int64_t> stopped_at_;
};

/// The run's result where the second answer is not asked for from a step on.
Tensor latents_without_second(const Bundle& bundle, const RunLog& log, const Facts& facts, int64_t from) {
  GuidanceBySteps guidance = PromptEncoder(bundle).guidance_of(facts);
  for (auto& [first_step, part] : guidance) part.rule.last_step = std::min(part.rule.last_step, from - 1);
  FirstSteps watcher(log, from - 1);
  Engine engine([&](const auto&... question) { return bundle.denoise(question...); }, facts.recipe.prediction_type);
  engine.add_by_steps(start(facts.recipe), std::move(guidance), &watcher);
  const Outcome outcome = engine.run().front();
  if (outcome.error) std::rethrow_exception(outcome.error);
  return outcome.latents;
}

WithoutSecond without_second(const Bundle& bundle, const RunLog& log, const Facts& facts, const Tensor& run_latents,
                             int64_t from) {
  const Tensor latents = latents_without_second(bundle, log, facts, from);
  const auto picture = [&](const Tensor& x) { return picture_of(bundle.decode("full", x), "final"); };
  return {from, rms_of(latents - run_latents), change_between(picture(run_latents), picture(latents), 0)};
}

/// What settling is measured on: [C, h, w] a step, and the end.
struct Images {
  std::vector<Tensor> steps;
  Tensor end;
};

Images images_of(const History& history, const std::function<Tensor(const Tensor&)>& shown) {
  Images images;
  for (const HistoryStep& step : history.steps) images.steps.push_back(shown(step.step.x0)[0].to(at::kDouble));
  images.end = shown(history.last_estimate())[0].to(at::kDouble);
  return images;
}

}  // namespace

ExplainedRun explain_run(const ExplainOptions& options, const std::function<void(const std::string&)>& warn) {
  const RunLog log = RunLog::open(log_in(options.run));
  const auto logged = nlohmann::json::parse(log.facts_json());
  ExplainedRun explained{.facts = log.facts(), .state = state_of(options.run)};
  const History history = history_of(log);
  if (history.steps.empty()) throw UsageError(options.run.string() + ": its log has no step yet");
  if (!history.latents.defined())
    warn(options.run.string() + ": " + explained.state.text() + "; the end is the last x0 of its log, at step " +
         std::to_string(history.steps.size()));
  explained.numbers = explain(history);

  const bool asks = options.ask && !explained.numbers.leaving_out.empty() && history.latents.defined();
  std::optional<Bundle> bundle;
  if (asks || options.decoder) {
    const MadeWith made = made_with(options.run, log.facts_json());
    BundleFolder folder = bundle_of(made, options.running.model, options.usual_model);
    set_threads(options.running.threads > 0 ? options.running.threads
                                            : whole_number<int>(logged.value("threads", "0")));
    std::vector<std::string> decoders;
    if (options.decoder) decoders.push_back(*options.decoder);
    bundle = asks ? load_bundle(std::move(folder), options.running.device, decoders)
                  : load_decoders(std::move(folder), options.running.device, decoders);
  }
  explained.measured_on = options.decoder ? "pictures by the decoder '" + *options.decoder + "'" : "the latents";
  const Images images = images_of(history, [&](const Tensor& latents) {
    return options.decoder ? bundle->decode(*options.decoder, latents) : latents;
  });
  explained.settlings = settlings_of(images.steps, images.end, explained.facts.width, explained.facts.height);
  for (const LeavingOut& rule : explained.numbers.leaving_out) {
    if (asks) explained.asked.push_back(without_second(*bundle, log, explained.facts, history.latents, rule.from));
  }
  return explained;
}

}  // namespace steplapse
