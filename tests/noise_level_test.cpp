#include "steplapse/noise_level.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::StrEq;
using testing::ThrowsMessage;

/// Stable Diffusion's training noise: `scaled_linear`, betas even in their square root from 0.00085 to 0.012.
TrainingNoise stable_diffusion() {
  TrainingNoise noise;
  double product = 1;
  for (int t = 0; t < 1000; ++t) {
    const double root = std::sqrt(0.00085) + (std::sqrt(0.012) - std::sqrt(0.00085)) * t / 999;
    product *= 1 - root * root;
    noise.alphas_cumprod.push_back(product);
  }
  noise.steps_offset = 1;
  noise.final_alpha_cumprod = noise.alphas_cumprod[0];
  return noise;
}

std::vector<double> timesteps(Spacing spacing, int64_t steps) {
  std::vector<double> found;
  for (const NoiseLevel& level : make_schedule(stable_diffusion(), spacing, steps).levels) {
    found.push_back(level.timestep.value_or(-1));
  }
  return found;
}

// Lin et al. 2023, table 2, gives these for T = 1000 (counted from 1 there).
TEST(Schedule, SpacingsAreThoseOfThePaper) {
  EXPECT_THAT(timesteps(Spacing::leading, 10), ElementsAre(901, 801, 701, 601, 501, 401, 301, 201, 101, 1, 0));
  EXPECT_THAT(timesteps(Spacing::linspace, 10), ElementsAre(999, 888, 777, 666, 555, 444, 333, 222, 111, 0, 0));
  EXPECT_THAT(timesteps(Spacing::trailing, 10), ElementsAre(999, 899, 799, 699, 599, 499, 399, 299, 199, 99, 0));
}

TEST(Schedule, StepsAreNoiseLevelsOfTheTrainingTable) {
  const TrainingNoise noise = stable_diffusion();
  const Schedule schedule = make_schedule(noise, Spacing::trailing, 5);
  for (const NoiseLevel& level : schedule.levels) {
    EXPECT_NEAR(level.alpha * level.alpha + level.sigma * level.sigma, 1, 1e-12);
  }
  EXPECT_EQ(schedule.levels[0].alpha, std::sqrt(noise.alphas_cumprod[999]));
}

TEST(Schedule, EndsAtSigmaZeroWithoutATimestepWhereTheModelSaysSo) {
  TrainingNoise noise = stable_diffusion();
  noise.final_alpha_cumprod = 1;
  EXPECT_EQ(make_schedule(noise, Spacing::leading, 2).levels.back(), (NoiseLevel{std::nullopt, 1, 0}));
}

TEST(Schedule, EveryStepCountGivesThatManySteps) {
  for (const Spacing spacing : {Spacing::leading, Spacing::linspace, Spacing::trailing}) {
    for (int64_t steps = 1; steps <= 500; ++steps) {
      const Schedule schedule = make_schedule(stable_diffusion(), spacing, steps);
      EXPECT_EQ(schedule.steps(), steps);
      EXPECT_NO_THROW(check_levels(schedule)) << name_of(spacing) << ' ' << steps;
    }
  }
}

TEST(Schedule, RefusesLeadingThatWouldNotStartInNoise) {
  const auto leading = [](int64_t steps) { return [steps] { make_schedule(stable_diffusion(), Spacing::leading, steps); }; };
  EXPECT_THAT(leading(600), ThrowsMessage<std::invalid_argument>(
                                StrEq("leading with 600 steps would start at timestep 600, not at the noisiest, 999; use at "
                                      "most 500 steps, or trailing or linspace")));
  EXPECT_THAT(leading(1000), ThrowsMessage<std::invalid_argument>(
                                 StrEq("leading with offset 1 and 1000 steps would start at timestep 1000, outside the "
                                       "model's 0 to 999; use trailing or linspace")));
  EXPECT_NO_THROW(leading(999)());
}

TEST(Schedule, RefusesStepsTheModelDoesNotHave) {
  for (const int64_t steps : {int64_t{0}, int64_t{-5}, int64_t{1001}}) {
    EXPECT_THAT([&] { make_schedule(stable_diffusion(), Spacing::trailing, steps); },
                ThrowsMessage<std::invalid_argument>(StrEq(std::to_string(steps) + " steps asked, the model was trained on "
                                                           "timesteps 0 to 999: use 1 to 1000")));
  }
}

TEST(Levels, MustBeFiniteAndFall) {
  EXPECT_THAT([] { check_levels({{{1.0, 1, 1}}, 1}); },
              ThrowsMessage<std::invalid_argument>(StrEq("a schedule of 1 noise levels, at least 2 wanted")));
  EXPECT_THAT([] { check_levels({{{1.0, 1, NAN}, {0.0, 1, 0}}, 1}); },
              ThrowsMessage<std::invalid_argument>(
                  StrEq("noise level 0 has alpha 1 and sigma nan, wanted finite numbers of 0 or more, not both 0")));
  EXPECT_NO_THROW(check_levels({{{999.0, 0, 1}, {0.0, 1, 0}}, 1}));
}

TEST(Schedule, FindsTheLevelsOfTheTableAndBetweenThem) {
  TrainingNoise noise;
  noise.alphas_cumprod = {0.9, 0.5, 0.1};
  Schedule schedule = make_schedule(noise, Spacing::linspace, 3);
  for (int64_t t = 0; t < 3; ++t) {
    const NoiseLevel level = schedule.at(noise_ratio(noise.level(t)));
    EXPECT_NEAR(level.timestep.value(), static_cast<double>(t), 1e-9);
    EXPECT_NEAR(level.alpha, noise.level(t).alpha, 1e-12);
    EXPECT_NEAR(level.sigma, noise.level(t).sigma, 1e-12);
  }
  // Half way between ratios 1/3 and 1 in the logarithm.
  EXPECT_NEAR(schedule.at(std::sqrt(1.0 / 3)).timestep.value(), 0.5, 1e-9);
  EXPECT_EQ(schedule.at(0), (NoiseLevel{std::nullopt, 1, 0}));
  EXPECT_EQ(schedule.at(100).timestep, 2.0);
  schedule.alphas_cumprod.clear();  // flow
  EXPECT_EQ(schedule.at(3), (NoiseLevel{750.0, 0.25, 0.75}));
}

}  // namespace
}  // namespace steplapse
