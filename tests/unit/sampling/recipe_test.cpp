#include "steplapse/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/aten.h"
#include "steplapse/engine.h"
#include "support/toy_denoiser.h"

namespace steplapse {
namespace {

constexpr int64_t kSteps = 8, kBranch = 3;

Recipe recipe_of(const std::string& sampler, double eta) {
  Recipe recipe;
  recipe.sampler = sampler;
  recipe.options.eta = eta;
  recipe.schedule = circle(kSteps, 1.4, 0.1);
  recipe.seed = 7;
  recipe.init_noise = Noise(recipe.rng, recipe.seed).draw({1, 2, 3, 3});
  return recipe;
}

/// `after` from step kBranch + 1 on.
Recipe branch_of(const Recipe& before, Recipe after) {
  after.before = std::make_shared<const Recipe>(before);
  after.branched_after = kBranch;
  return after;
}

/// The latents after each step.
struct Latents : Watcher {
  Verdict stepped(const Step& step) override {
    numbers.push_back(step.number);
    levels.push_back(step.level);
    after.push_back(step.x);
    return {};
  }
  std::vector<int64_t> numbers;
  std::vector<NoiseLevel> levels;
  std::vector<Tensor> after;
};

Latents run(const Recipe& recipe) {
  Latents latents;
  Engine engine(gaussian_denoiser(0.5), recipe.prediction_type);
  engine.add(start(recipe), Guidance{}, &latents);
  const Outcome outcome = engine.run().front();
  if (outcome.error) std::rethrow_exception(outcome.error);
  EXPECT_TRUE(at::equal(outcome.latents, latents.after.back()));
  return latents;
}

void expect_equal(const Latents& found, const Latents& expected) {
  EXPECT_EQ(found.numbers, expected.numbers);
  EXPECT_EQ(found.levels, expected.levels);
  ASSERT_EQ(found.after.size(), expected.after.size());
  for (size_t i = 0; i < found.after.size(); ++i) EXPECT_TRUE(at::equal(found.after[i], expected.after[i])) << i;
}

TEST(Branch, WithTheSameRecipeIsTheSameRun) {
  for (const char* sampler : {"ddim", "dpmpp_2m", "dpmpp_2m_sde", "euler_a"}) {
    const Recipe recipe = recipe_of(sampler, sampler == std::string("dpmpp_2m") ? 0 : 1);
    const Recipe branch = branch_of(recipe, recipe);
    EXPECT_FALSE(branch.restarts());
    expect_equal(run(branch), run(recipe));
  }
}

// Euler's method is DDIM with eta 0, and neither has a history.
TEST(Branch, WithAnotherNameForTheSameStepsIsTheSameRun) {
  const Recipe ddim = recipe_of("ddim", 0), branch = branch_of(ddim, recipe_of("euler", 0));
  EXPECT_TRUE(branch.restarts());
  const Latents found = run(branch), expected = run(ddim);
  EXPECT_EQ(found.numbers, expected.numbers);
  EXPECT_EQ(found.levels, expected.levels);
  for (size_t i = 0; i < found.after.size(); ++i) EXPECT_TRUE(at::allclose(found.after[i], expected.after[i])) << i;
}

TEST(Branch, BeginsItsSamplerWithoutAHistory) {
  const Recipe ddim = recipe_of("ddim", 0);
  const Latents before = run(ddim), found = run(branch_of(ddim, recipe_of("dpmpp_2m", 0)));
  // A run of its own that starts where the branch does.
  Recipe alone = recipe_of("dpmpp_2m", 0);
  alone.schedule.levels.erase(alone.schedule.levels.begin(), alone.schedule.levels.begin() + kBranch);
  alone.schedule.init_scale = 1;
  alone.init_noise = before.after[kBranch - 1];
  const Latents expected = run(alone);
  ASSERT_EQ(found.after.size(), before.after.size());
  for (size_t i = 0; i < expected.after.size(); ++i) {
    EXPECT_TRUE(at::equal(found.after[kBranch + i], expected.after[i])) << i;
  }
}

TEST(Branch, MayHaveOtherLevels) {
  const Recipe ddim = recipe_of("ddim", 0);
  Recipe finer = ddim;
  const Schedule fine = circle(2 * kSteps, 1.4, 0.1);
  finer.schedule.levels.resize(kBranch + 1);
  finer.schedule.levels.insert(finer.schedule.levels.end(), fine.levels.begin() + 2 * kBranch + 1, fine.levels.end());
  const Latents found = run(branch_of(ddim, finer));
  EXPECT_EQ(found.after.size(), static_cast<size_t>(kBranch + 2 * (kSteps - kBranch)));
  EXPECT_EQ(found.levels[kBranch], fine.levels[2 * kBranch + 1]);
  EXPECT_EQ(found.numbers.back(), static_cast<int64_t>(found.numbers.size()));
}

// A repeated draw would be noise that the picture already has.
TEST(Branch, DrawsNoNoiseTwice) {
  const Recipe before = recipe_of("ddim", 1);
  const auto after_its_first_step = [&](double s_noise) {
    Recipe after = before;
    after.options.s_noise = s_noise;
    return run(branch_of(before, after)).after[kBranch];
  };
  const Tensor drawn = after_its_first_step(3) - after_its_first_step(2);  // but for its scale
  Noise stream(before.rng, before.seed);
  for (int64_t draw = 0; draw <= kBranch; ++draw) {
    const Tensor used = stream.like(before.init_noise);
    EXPECT_LT(at::cosine_similarity(drawn.flatten(), used.flatten(), 0).item<double>(), 0.95) << draw;
  }
}

TEST(Branch, OfABranchIsMadeByAllThree) {
  const Recipe first = recipe_of("ddim", 0), second = branch_of(first, recipe_of("euler", 0));
  Recipe third = recipe_of("heun", 0);
  third.before = std::make_shared<const Recipe>(second);
  third.branched_after = kBranch + 2;
  const Latents found = run(third), expected = run(second);
  EXPECT_EQ(found.levels, expected.levels);
  for (int64_t i = 0; i < kBranch + 2; ++i) EXPECT_TRUE(at::equal(found.after[i], expected.after[i]));
  EXPECT_FALSE(at::equal(found.after[kBranch + 2], expected.after[kBranch + 2]));
}

TEST(Branch, HasItsOwnGuidanceAfterItsFirstSteps) {
  Recipe first, second, third;
  first.guidance.scale = 2;
  second.guidance.scale = 3;
  third.guidance.scale = 4;
  second.before = std::make_shared<const Recipe>(first);
  second.branched_after = 5;
  third.before = std::make_shared<const Recipe>(second);
  third.branched_after = 3;
  EXPECT_EQ(guidance_rules(first), (std::map<int64_t, GuidanceRule>{{1, {2}}}));
  EXPECT_EQ(guidance_rules(second), (std::map<int64_t, GuidanceRule>{{1, {2}}, {6, {3}}}));
  EXPECT_EQ(guidance_rules(third), (std::map<int64_t, GuidanceRule>{{1, {2}}, {4, {4}}}));
}

}  // namespace
}  // namespace steplapse
