#include "plan/plan_branch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/aten.h"
#include "steplapse/error.h"
#include "support/toy_manifest.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::Optional;
using testing::ThrowsMessage;

constexpr int64_t kAt = 4;

/// A run of 10 steps that went to its end.
RunBefore run_of(const std::string& sampler) {
  Settings settings;
  settings.prompt = "red apple";
  settings.seed = 7;
  settings.sampler = sampler;
  settings.steps = 10;
  const auto plan = std::make_shared<const Plan>(make_plan(toy_manifest(), settings));
  return {plan, plan->recipe.schedule.levels};
}

Plan branch_of(const RunBefore& before, const BranchSettings& changes, int64_t at = kAt) {
  return plan_branch(toy_manifest(), before, at, changes);
}

std::vector<NoiseLevel> first_levels(const Plan& plan) {
  const auto& levels = plan.recipe.schedule.levels;
  return {levels.begin(), levels.begin() + kAt + 1};
}

TEST(BranchPlan, ChangesWhatIsSaidAndNoMore) {
  const RunBefore before = run_of("ddim");
  const Plan plan = branch_of(before, {.prompt = "a (blue:1.3) apple", .guidance_scale = 2});
  EXPECT_EQ(plan.prompt, "a (blue:1.3) apple");
  EXPECT_EQ(plan.recipe.guidance.scale, 2);
  EXPECT_EQ(plan.recipe.seed, 7u);
  EXPECT_FALSE(plan.recipe.restarts());
  EXPECT_EQ(plan.recipe.schedule.levels, before.levels);
  EXPECT_THAT(plan.made_steps, Optional(10));
  EXPECT_EQ(plan.before, before.facts);
  EXPECT_EQ(plan.recipe.branched_after, kAt);
  EXPECT_EQ(plan.prompts.prompt.size(), 3u);
}

TEST(BranchPlan, OfAnotherSamplerHasTheLevelsThatAreLeft) {
  const RunBefore before = run_of("ddim");
  const Plan plan = branch_of(before, {.sampler = "euler"});
  EXPECT_TRUE(plan.recipe.restarts());
  EXPECT_EQ(plan.recipe.sampler, "euler");
  std::vector<NoiseLevel> expected = before.levels;
  expected.back() = {std::nullopt, 1, 0};  // ddim ends at the model's own last level, all others at sigma 0
  EXPECT_EQ(plan.recipe.schedule.levels, expected);
  EXPECT_THAT(plan.made_steps, Optional(10));
}

TEST(BranchPlan, LaysOutItsStepsFromTheLevelThatItBeginsAt) {
  const RunBefore before = run_of("ddim");
  for (const char* schedule : {"karras", "trailing", "simple"}) {
    for (const int64_t steps : {1, 3, 12}) {
      const Plan plan = branch_of(before, {.schedule = schedule, .steps = steps});
      EXPECT_EQ(plan.schedule, schedule);
      EXPECT_EQ(plan.steps(), kAt + steps) << schedule;
      EXPECT_THAT(first_levels(plan), ElementsAreArray(before.levels.begin(), before.levels.begin() + kAt + 1));
      EXPECT_NO_THROW(check_levels(plan.recipe.schedule)) << schedule << steps;
      EXPECT_THAT(plan.made_steps, Optional(kAt + steps));
    }
  }
}

// As Karras et al. 2022 (arXiv:2206.00364), eq. 5 has it, with sigma_max where the branch begins.
TEST(BranchPlan, OfKarrasFollowsTheFormulaFromThere) {
  const RunBefore before = run_of("ddim");
  const Plan plan = branch_of(before, {.schedule = "karras", .steps = 6});
  const double most = noise_ratio(before.levels[kAt]), least = NoiseScale(toy_manifest().training_noise).sigma_min();
  for (int i = 0; i < 6; ++i) {
    const double root = std::pow(most, 1 / 7.0) + i / 5.0 * (std::pow(least, 1 / 7.0) - std::pow(most, 1 / 7.0));
    EXPECT_NEAR(noise_ratio(plan.recipe.schedule.levels[kAt + i]) / std::pow(root, 7), 1, 1e-6) << i;
  }
}

// trailing: with 20 steps, every second level is one of 10 steps.
TEST(BranchPlan, WithMoreStepsOfTheSameScheduleHasItsFinerLevels) {
  const Manifest manifest = toy_manifest();
  const RunBefore before = run_of("ddim");
  const Plan plan = branch_of(before, {.steps = 12});
  const Schedule finer = make_schedule(manifest.training_noise, schedule_named("trailing"), {.steps = 20});
  for (size_t i = 1; i < 12; ++i) {
    EXPECT_EQ(plan.recipe.schedule.levels[kAt + i].timestep, finer.levels[8 + i].timestep) << i;
  }
}

TEST(BranchPlan, OfABranchGoesOutFromIt) {
  const RunBefore before = run_of("ddim");
  const auto first = std::make_shared<const Plan>(branch_of(before, {.sampler = "euler", .steps = 4}));
  const Plan second = branch_of({first, first->recipe.schedule.levels}, {.sampler = "heun"}, 6);
  EXPECT_EQ(second.recipe.schedule.levels, first->recipe.schedule.levels);
  EXPECT_EQ(own_schedule(second.recipe).steps(), 2);
  EXPECT_THAT(second.made_steps, Optional(8));
}

TEST(BranchPlan, RefusesWhatTheRunCannotDo) {
  const RunBefore before = run_of("ddim");
  EXPECT_THAT([&] { branch_of(before, {.sampler = "eular"}); }, ThrowsMessage<UsageError>(HasSubstr("did you mean")));
  EXPECT_THAT([&] { branch_of(before, {.guidance_scale = -1}); },
              ThrowsMessage<UsageError>(HasSubstr("`guidance_scale` -1")));
  EXPECT_THAT(
      [&] { branch_of(before, {.schedule = "trailing", .steps = 5000}); },
      ThrowsMessage<UsageError>(HasSubstr("`steps` 5000: the schedule 'trailing' has not so many levels below")));
}

}  // namespace
}  // namespace steplapse
