#include "steplapse/sample.h"

#include "plan/plan.h"

namespace steplapse {
namespace {

struct Hook : Watcher {
  explicit Hook(const std::function<bool(const Step&)>& on_step) : on_step(on_step) {}
  Verdict stepped(const Step& step) override { return {!on_step(step), {}}; }
  const std::function<bool(const Step&)>& on_step;
};

}  // namespace

Tensor sample(const Bundle& bundle, const Settings& settings, const std::function<bool(const Step&)>& on_step) {
  const Plan plan = make_plan(bundle.manifest(), settings);
  Hook hook(on_step);
  Engine engine([&](const auto&... question) { return bundle.denoise(question...); }, plan.recipe.prediction_type);
  Guidance guidance = encode_prompts(bundle, plan.prompts).guidance;
  guidance.rule = plan.recipe.guidance;
  engine.add(start(plan.recipe), std::move(guidance), &hook);
  const Outcome outcome = engine.run().front();
  if (outcome.error) std::rethrow_exception(outcome.error);
  return outcome.latents;
}

}  // namespace steplapse
