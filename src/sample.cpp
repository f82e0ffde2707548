#include "steplapse/sample.h"

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
  engine.add(start(plan.recipe), encode_prompts(bundle, plan).guidance, &hook);
  const Outcome outcome = engine.run().front();
  if (outcome.error) std::rethrow_exception(outcome.error);
  return outcome.latents;
}

}  // namespace steplapse
