#include "steplapse/sample.h"

#include <stdexcept>

#include "plan/plan.h"
#include "runs/recorded_run.h"

namespace steplapse {
namespace {

struct Hook : Watcher {
  explicit Hook(const std::function<Verdict(const Step&)>& on_step) : on_step(on_step) {}
  Verdict stepped(const Step& step) override { return on_step(step); }
  const std::function<Verdict(const Step&)>& on_step;
};

/// Says nothing: that is the caller's to do.
struct Silent : Progress {
  void warning(const std::string&) override {}
};

Task task_of(const Plan& plan, const Recording& recording) {
  Task task{.plan = plan, .folder = recording.folder, .overwrite = recording.overwrite};
  task.frames.kinds.clear();
  if (recording.x0_frames) task.frames.kinds.insert(FrameKind::x0);
  if (recording.xt_frames) task.frames.kinds.insert(FrameKind::xt);
  task.frames.every = recording.every;
  return task;
}

Outcome run_alone(const Bundle& bundle, const Plan& plan, Watcher& watcher) {
  Guidance guidance = encode_prompts(bundle, plan.prompts).guidance;
  guidance.rule = plan.recipe.guidance;
  Engine engine([&](const auto&... question) { return bundle.denoise(question...); }, plan.recipe.prediction_type);
  engine.add(start(plan.recipe), std::move(guidance), &watcher);
  return engine.run().front();
}

Outcome run_recorded(const Bundle& bundle, const Task& task, Watcher& watcher) {
  Silent silent;
  FrameWorkers workers(bundle.device() == "cpu" ? FrameWorkers::Decoding::between_steps
                                                : FrameWorkers::Decoding::beside);
  RecordedRun run(1, task, bundle, origin_here(bundle, 1, {}), workers, silent, &watcher);
  Outcome outcome = run_alone(bundle, run.plan(), *run.watcher());
  run.finish(outcome);  // which throws what ended it
  return outcome;
}

}  // namespace

Tensor sample(const Bundle& bundle, const Settings& settings, const std::function<Verdict(const Step&)>& on_step,
              const Recording& recording) {
  const Plan plan = make_plan(bundle.manifest(), settings);
  const Task task = task_of(plan, recording);
  if (plan.made_steps) check_frames(task.frames, *plan.made_steps);
  Hook hook(on_step);
  const Outcome outcome = recording.folder.empty() ? run_alone(bundle, plan, hook) : run_recorded(bundle, task, hook);
  if (outcome.error) std::rethrow_exception(outcome.error);
  return outcome.latents;
}

Tensor sample(const Bundle& bundle, const Settings& settings, const std::function<bool(const Step&)>& goes_on,
              const Recording& recording) {
  const auto on_step = [&](const Step& step) { return Verdict{.stop = !goes_on(step)}; };
  return sample(bundle, settings, std::function<Verdict(const Step&)>(on_step), recording);
}

}  // namespace steplapse
