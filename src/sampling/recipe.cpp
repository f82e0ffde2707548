#include "steplapse/recipe.h"

#include <utility>

#include "base/aten.h"

namespace steplapse {
namespace {

/// No sampler draws more often in a step: dpmpp_sde draws twice, all others once.
constexpr int64_t kDrawsOfAStep = 4;

Noise noise_of(const Recipe& recipe, int64_t draws_made) {
  Noise noise(recipe.rng, recipe.seed);
  if (!recipe.init_noise_given) ++draws_made;  // the stream's first draw is the init noise
  for (int64_t i = 0; i < draws_made; ++i) noise.like(recipe.init_noise);
  return noise;
}

Trajectory restarted(const Recipe& recipe, Tensor x) {
  return sampler_named(recipe.sampler)
      .start(std::move(x), own_schedule(recipe), recipe.options,
             noise_of(recipe, recipe.branched_after * kDrawsOfAStep));
}

/// Makes a branch's first steps as `before` does, then those of the branch's own sampler.
Trajectory spliced(Trajectory before, Recipe recipe) {
  Tensor x;
  for (int64_t made = 0; made < recipe.branched_after;) {
    before.resume();
    if (const auto* question = before.question()) {
      Prediction prediction = co_await predict(question->x, question->level);
      before.answer(std::move(prediction));
    } else if (const Step* step = before.step()) {
      made = step->number;
      x = co_await step_done(static_cast<size_t>(made), step->level, step->x, step->x0);
      before.continue_with(x);
    } else {
      co_return before.result();  // it made fewer steps
    }
  }
  Trajectory after = restarted(recipe, x);
  for (after.resume(); !after.finished(); after.resume()) {
    if (const auto* question = after.question()) {
      Prediction prediction = co_await predict(question->x, question->level);
      after.answer(std::move(prediction));
    } else {
      const Step* step = after.step();
      const auto number = static_cast<size_t>(recipe.branched_after + step->number);
      x = co_await step_done(number, step->level, step->x, step->x0);
      after.continue_with(x);
    }
  }
  co_return after.result();
}

}  // namespace

bool Recipe::restarts() const {
  return before &&
         (sampler != before->sampler || options != before->options || schedule.levels != before->schedule.levels);
}

Schedule own_schedule(const Recipe& recipe) {
  Schedule schedule = recipe.schedule;
  schedule.levels.erase(schedule.levels.begin(), schedule.levels.begin() + recipe.branched_after);
  return schedule;
}

std::map<int64_t, GuidanceRule> guidance_rules(const Recipe& recipe) {
  if (!recipe.before) return {{1, recipe.guidance}};
  std::map<int64_t, GuidanceRule> rules = guidance_rules(*recipe.before);
  rules.erase(rules.upper_bound(recipe.branched_after), rules.end());
  rules[recipe.branched_after + 1] = recipe.guidance;
  return rules;
}

GuidanceRule guidance_rule(const Recipe& recipe, int64_t step) {
  if (recipe.before && step <= recipe.branched_after) return guidance_rule(*recipe.before, step);
  return recipe.guidance;
}

GuidanceBySteps bare_guidance(const Recipe& recipe) {
  GuidanceBySteps guidance;
  for (const auto& [step, rule] : guidance_rules(recipe)) guidance[step].rule = rule;
  return guidance;
}

Trajectory start(const Recipe& recipe) {
  if (recipe.before) {
    return recipe.restarts() ? spliced(start(*recipe.before), recipe) : start(*recipe.before);
  }
  return sampler_named(recipe.sampler)
      .start(recipe.init_noise * recipe.schedule.init_scale, recipe.schedule, recipe.options, noise_of(recipe, 0));
}

}  // namespace steplapse
