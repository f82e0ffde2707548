
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/aten.h"
#include "base/machine.h"
#include "base/png_reader.h"
#include "base/text.h"
#include "plan/picture_settings.h"
#include "plan/plan.h"
#include "runs/replay.h"
#include "runs/run_model.h"
#include "steplapse/error.h"
#include "steplapse/version.h"

namespace steplapse {
namespace {

/// What a picture of ours says of itself, beside its settings.
struct FrameOf {
  std::string kind, decoder, version;
  int64_t step = 0;
  NoiseLevel level;
  MadeWith made_with;
};

FrameOf frame_in(const std::map<std::string, std::string>& texts, const std::string& file) {
  const std::string place = in_quotes(file);
  if (!texts.contains("steplapse"))
    throw UsageError(place +
                     ": is no picture of steplapse (it has no text 'steplapse'), so it can't be made again; "
                     "steplapse generate `from_png` takes the settings of other tools' pictures");
  try {
    const auto about = nlohmann::json::parse(texts.at("steplapse"));
    const auto& settings = about.at("settings");
    FrameOf frame{about.at("kind"), about.at("decoder"), about.at("version"), about.at("step"), {}, {}};
    frame.level = {std::nullopt, about.at("alpha"), about.at("sigma")};
    frame.made_with = {file, settings.at("model"), settings.at("model_sha256"), {}};
    if (settings.value("latents_given", false))
      throw UsageError(place +
                       ": its start came from `latents`, and that file is not in the picture; replay its run's "
                       "folder");
    if (settings.contains("branched_after"))
      throw UsageError(place +
                       ": is of a branch, whose first steps were made with other settings; replay its run's folder");
    if (frame.kind != "x0" && frame.kind != "xt" && frame.kind != "final")
      throw UsageError(place + ": is a frame of kind " + in_quotes(frame.kind) +
                       "; only x0, xt and final can be made again from a picture");
    return frame;
  } catch (const nlohmann::json::exception& error) {
    throw UsageError(place + ": its text 'steplapse' is not as this program writes it: " + escaped(error.what(), 120));
  }
}

/// Runs to the frame's step and keeps what it shows.
class ToFrame : public Watcher {
 public:
  explicit ToFrame(const FrameOf& frame) : frame_(frame) {}
  void answered(const Question& question, const Answer&) override {
    ++calls;
    if (question.step != step_) level_ = question.level;
    step_ = question.step;
  }
  Verdict stepped(const Step& step) override {
    const bool at_x0 = frame_.kind == "x0" || (frame_.kind == "final" && is_level(level_));
    if (step.number == frame_.step) {
      shown = at_x0 ? step.x0 : step.x;
      reached = at_x0 ? level_ : step.level;
    }
    return {.stop = step.number == frame_.step};
  }
  bool is_level(const NoiseLevel& level) const {
    return std::abs(level.alpha - frame_.level.alpha) < 1e-6 && std::abs(level.sigma - frame_.level.sigma) < 1e-6;
  }

  Tensor shown;
  NoiseLevel reached;
  int64_t calls = 0;

 private:
  const FrameOf& frame_;
  int64_t step_ = 0;
  NoiseLevel level_;
};

}  // namespace

Replayed replay_picture(const std::filesystem::path& file, const ReplayOptions& options) {
  PngContent content = read_png(file);
  const std::string place = in_quotes(file.string());
  const FrameOf frame = frame_in(content.texts, file.string());
  const PictureSettings said = settings_in_picture(content.texts, place);
  BundleFolder folder = bundle_of(frame.made_with, options.running.model, options.usual_model);
  const Plan plan = make_plan(folder.manifest(), with_own_levels(folder.manifest(), said));
  const std::string decoder = frame.kind == "final" ? "full" : frame.decoder;
  if (!folder.manifest().decoders.contains(decoder))
    throw UsageError(place + ": was decoded by " + in_quotes(decoder) + ", which the model " + folder.manifest().name +
                     " does not have");
  set_threads(options.running.threads);
  const Bundle bundle = load_bundle(std::move(folder), options.running.device, {decoder});

  Replayed replayed{.what = file.string(), .model = bundle.manifest().name, .device = bundle.device()};
  add_difference(replayed.differences, "model_sha256", frame.made_with.sha256.substr(0, 12),
                 bundle.manifest().sha256.substr(0, 12));
  add_difference(replayed.differences, "version", frame.version, STEPLAPSE_VERSION);

  ToFrame watcher(frame);
  if (frame.step == 0) {
    watcher.shown = plan.recipe.init_noise * plan.recipe.schedule.init_scale;
    watcher.reached = plan.recipe.schedule.levels.front();
  } else {
    Guidance guidance = encode_prompts(bundle, plan.prompts).guidance;
    guidance.rule = plan.recipe.guidance;
    Engine engine([&](const auto&... question) { return bundle.denoise(question...); }, plan.recipe.prediction_type, 1);
    engine.add(start(plan.recipe), std::move(guidance), &watcher);
    const Outcome outcome = engine.run().front();
    if (outcome.error) std::rethrow_exception(outcome.error);
  }
  if (!watcher.shown.defined())
    throw UsageError(place + ": shows step " + std::to_string(frame.step) + ", and the run of its settings has fewer");
  if (!watcher.is_level(watcher.reached))
    throw UsageError(place + ": its settings lead to other noise levels than it has: step " +
                     std::to_string(frame.step) + " is at sigma " + plain(watcher.reached.sigma) + ", not " +
                     plain(frame.level.sigma) + "; replay its run's folder");
  replayed.steps = frame.step;
  replayed.picture_name = frame.kind + (frame.kind == "final" ? "" : " " + std::to_string(frame.step));
  replayed.picture = difference_of({content.width, content.height, std::move(content.rgb)},
                                   picture_of(bundle.decode(decoder, watcher.shown), "the replay"));
  replayed.remarks.push_back("made again in " + counted(watcher.calls, "call") + ", from the settings in the picture");
  return replayed;
}

}  // namespace steplapse
