#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/aten.h"
#include "base/machine.h"
#include "base/sha256.h"
#include "base/shape_text.h"
#include "base/text.h"
#include "plan/plan.h"
#include "record/run_folder.h"
#include "runs/prompt_encoder.h"
#include "runs/replay.h"
#include "runs/run_model.h"
#include "steplapse/error.h"
#include "steplapse/run_log.h"
#include "steplapse/version.h"
#include "views/picture_file.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

/// There is nothing left to compare with.
struct LogEnds : std::runtime_error {
  LogEnds() : std::runtime_error("the log ends here") {}
};

/// max |a - b| / max |a|.
double off_by(const Tensor& then, const Tensor& now) {
  if (then.sizes() != now.sizes()) return std::numeric_limits<double>::infinity();
  const double largest = then.abs().max().item<double>(), off = (then - now).abs().max().item<double>();
  return off == 0 ? 0 : off / largest;
}

double off_by_where_asked(const Tensor& then, const Tensor& now) {
  if (then.defined() != now.defined()) return std::numeric_limits<double>::infinity();
  return then.defined() ? off_by(then, now) : 0;
}

std::string checksum(const Tensor& x) {
  const Tensor numbers = x.contiguous();
  return sha256({static_cast<const char*>(numbers.const_data_ptr()), numbers.nbytes()});
}

/// Does what was done to the run on its way: ends it, and changes its latents.
class Interventions : public Watcher {
 public:
  explicit Interventions(const RunLog& log) : log_(log), stopped_at_(log.stopped_at()) {}
  Verdict stepped(const Step& step) override {
    steps_ = step.number;
    Verdict verdict{.stop = stopped_at_ == step.number, .x = log_.latents_after(step.number)};
    changed_ += verdict.x.defined();
    return verdict;
  }
  int64_t steps() const { return steps_; }
  int64_t changed() const { return changed_; }

 protected:
  const RunLog& log_;

 private:
  std::optional<int64_t> stopped_at_;
  int64_t steps_ = 0, changed_ = 0;
};

/// The run as its log has it: the sampler is fed the logged answers. On another CPU its own sums may round otherwise, so
/// that latents need not have the logged checksums; the levels must be the logged ones.
class Logged : public Interventions {
 public:
  using Interventions::Interventions;
  std::optional<Answer> recall(const Question& question) override {
    const auto call = log_.call(question.call);
    if (!call) throw LogEnds();
    const bool same_bits = checksum(question.x) == call->latents_sha256;
    const double sigma = noise_ratio(call->level), asked = noise_ratio(question.level);
    const bool same_level = sigma == asked || std::abs(sigma - asked) <= kSameLevel * std::abs(sigma);
    if (!same_level || (question.call == 1 && !same_bits)) {
      throw std::runtime_error("its log's call " + std::to_string(question.call) +
                               " is not what its settings lead to; it is the log of another run, or damaged");
    }
    questions.push_back(question);
    answers.push_back(call->answer);
    asked_same_bits.push_back(same_bits);
    return call->answer;
  }

  std::vector<Question> questions;
  std::vector<Answer> answers;
  std::vector<bool> asked_same_bits;

 private:
  static constexpr double kSameLevel = 1e-3;
};

/// Compares the replay's calls with the logged ones.
class Comparing : public Interventions {
 public:
  Comparing(const RunLog& log, const Logged& logged, bool log_is_whole, double tolerance, Replayed& replayed)
      : Interventions(log), logged_(logged), log_is_whole_(log_is_whole), tolerance_(tolerance), replayed_(replayed) {}

  std::optional<Answer> recall(const Question& question) override {
    if (question.call <= static_cast<int64_t>(logged_.questions.size())) return std::nullopt;
    if (log_is_whole_)
      replayed_.other_way = "the replay asks a call " + std::to_string(question.call) + ", the run made " +
                            std::to_string(logged_.questions.size());
    throw LogEnds();
  }

  void answered(const Question& question, const Answer& answer) override {
    const auto i = static_cast<size_t>(question.call - 1);
    const Question& asked = logged_.questions[i];
    CallDifference difference{question.call, question.step, noise_ratio(question.level)};
    difference.latents = off_by(asked.x, question.x);
    difference.answer = std::max(off_by_where_asked(logged_.answers[i].cond, answer.cond),
                                 off_by_where_asked(logged_.answers[i].uncond, answer.uncond));
    if (question.level != asked.level)
      difference.latents = std::max(difference.latents, level_difference(asked, question));
    ++replayed_.calls;
    replayed_.same_bits = replayed_.same_bits && difference.larger() == 0 && logged_.asked_same_bits[i];
    if (!replayed_.largest || difference.larger() > replayed_.largest->larger()) replayed_.largest = difference;
    if (!replayed_.first_off && !(difference.larger() <= tolerance_)) replayed_.first_off = difference;
  }

 private:
  static double level_difference(const Question& then, const Question& now) {
    const double a = noise_ratio(then.level), b = noise_ratio(now.level);
    return a == b ? 0 : std::abs(a - b) / a;
  }

  const Logged& logged_;
  const bool log_is_whole_;
  const double tolerance_;
  Replayed& replayed_;
};

/// The result; undefined where the log ends before.
Tensor result_of(Engine& engine, const Recipe& recipe, GuidanceBySteps guidance, Watcher& watcher) {
  engine.add_by_steps(start(recipe), std::move(guidance), &watcher);
  const Outcome outcome = engine.run().front();
  try {
    if (outcome.error) std::rethrow_exception(outcome.error);
  } catch (const LogEnds&) {
  }
  return outcome.latents;
}

std::string said(const nlohmann::json& facts, const char* key) {
  const auto found = facts.find(key);
  if (found == facts.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value && *value ? value : "";
}

void name_differences(const nlohmann::json& facts, const Bundle& bundle, Replayed& replayed) {
  const Manifest& manifest = bundle.manifest();
  const auto compare = [&](const char* key, const std::string& now) {
    add_difference(replayed.differences, key, said(facts, key), now);
  };
  compare("model", manifest.name);
  add_difference(replayed.differences, "model_sha256", said(facts, "model_sha256").substr(0, 12),
                 manifest.sha256.substr(0, 12));
  compare("prediction_type", std::string(name_of(manifest.training_noise.prediction_type)));
  compare("version", STEPLAPSE_VERSION);
  compare("libtorch", libtorch_version());
  compare("device", bundle.device());
  compare("threads", std::to_string(at::get_num_threads()));
  compare("compute_dtype", manifest.denoiser.compute_dtype);
  compare("cpu_capability", at::get_cpu_capability());
  for (const auto& [key, variable] :
       {std::pair("aten_cpu_capability", "ATEN_CPU_CAPABILITY"), {"onednn_max_cpu_isa", "ONEDNN_MAX_CPU_ISA"}}) {
    if (!facts.contains(key)) continue;  // an older log does not say
    const std::string then = said(facts, key), now = from_environment(variable);
    add_difference(replayed.differences, key, then.empty() ? "not set" : then, now.empty() ? "not set" : now);
  }
  if (said(facts, "runs") != "1" && said(facts, "max_batch") != "1" && !said(facts, "runs").empty())
    replayed.remarks.push_back("then one of " + said(facts, "runs") + " runs that may have shared calls, now alone");
}

void check_shape(const Plan& plan, const Manifest& manifest, const std::string& place) {
  const auto logged = plan.recipe.init_noise.sizes();
  const std::vector<int64_t> now = latents_shape(manifest, {plan.width, plan.height});
  if (logged == at::IntArrayRef(now)) return;
  throw UsageError(place + ": its latents are " + shape_text(logged) + ", those of the model " + manifest.name +
                   " are " + shape_text(now) + "; only a model with the same latents can be asked again");
}

void say_what_the_log_has(const Logged& logged, bool is_whole, Replayed& replayed) {
  if (!is_whole)
    replayed.remarks.push_back("the run is unfinished: replayed are its " +
                               counted(static_cast<int64_t>(logged.questions.size()), "call") + " so far");
  if (logged.changed() > 0)
    replayed.remarks.push_back("own code changed the latents after " + counted(logged.changed(), "step") +
                               "; its latents are taken from the log");
}

}  // namespace

Replayed replay_run(const fs::path& folder, const ReplayOptions& options) {
  const RunLog log = RunLog::open(log_in(folder));
  const Plan plan = plan_of(log.facts());
  const std::string facts_json = log.facts_json(), place = in_quotes(folder.string());
  BundleFolder bundle_folder = bundle_of(made_with(folder, facts_json), options.running.model, options.usual_model);
  check_shape(plan, bundle_folder.manifest(), place);
  set_threads(options.running.threads);

  Logged logged(log);
  Engine no_network([](auto&&...) -> Tensor { throw LogEnds(); }, plan.recipe.prediction_type);
  const Tensor then = [&] {
    try {
      return result_of(no_network, plan.recipe, bare_guidance(plan.recipe), logged);
    } catch (const std::exception& error) {
      throw Error(ExitCode::run_failed, place + ": " + error.what());
    }
  }();

  const Bundle bundle = load_bundle(std::move(bundle_folder), options.running.device, {});
  Replayed replayed{.what = folder.string(), .model = bundle.manifest().name, .device = bundle.device()};
  name_differences(nlohmann::json::parse(facts_json), bundle, replayed);
  say_what_the_log_has(logged, then.defined(), replayed);

  Comparing comparing(log, logged, then.defined(), options.tolerance, replayed);
  Engine engine([&](const auto&... question) { return bundle.denoise(question...); }, plan.recipe.prediction_type, 1);
  const Tensor now = result_of(engine, plan.recipe, PromptEncoder(bundle).guidance_of(plan), comparing);
  replayed.steps = comparing.steps();
  if (!then.defined() || !now.defined()) return replayed;
  if (replayed.calls < static_cast<int64_t>(logged.questions.size()))
    replayed.other_way = "the replay ends after " + counted(replayed.calls, "call") + ", the run made " +
                         std::to_string(logged.questions.size());
  replayed.final_latents = off_by(then, now);
  const auto picture = picture_if_there(folder / "final.png");
  if (!picture) return replayed;
  replayed.picture_name = "final.png";
  replayed.picture = difference_of(*picture, picture_of(bundle.decode("full", now), "the replay"));
  return replayed;
}

}  // namespace steplapse
