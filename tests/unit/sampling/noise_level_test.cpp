#include "steplapse/noise_level.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace steplapse {
namespace {

using testing::StrEq;
using testing::ThrowsMessage;

TEST(Levels, MustBeFiniteAndFall) {
  EXPECT_THAT([] { check_levels({{{1.0, 1, 1}}, 1}); },
              ThrowsMessage<std::invalid_argument>(StrEq("a schedule of 1 noise levels, expected at least 2")));
  EXPECT_THAT([] { check_levels({{{1.0, 1, NAN}, {0.0, 1, 0}}, 1}); },
              ThrowsMessage<std::invalid_argument>(
                  StrEq("noise level 0 has alpha 1 and sigma nan, expected finite numbers of 0 or more, not both 0")));
  EXPECT_NO_THROW(check_levels({{{999.0, 0, 1}, {0.0, 1, 0}}, 1}));
}

TEST(Schedule, FindsTheLevelsOfTheTableAndBetweenThem) {
  TrainingNoise noise;
  noise.alphas_cumprod = {0.9, 0.5, 0.1};
  Schedule schedule{{}, 1, noise.alphas_cumprod};
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
  EXPECT_EQ(schedule.at(std::numeric_limits<double>::infinity()), (NoiseLevel{1000.0, 0, 1}));
}

// With zero terminal SNR the ratio of the last timestep is infinite; 4096 stands for it, so numbers below lead up to it.
TEST(Schedule, FindsLevelsBelowAnInfiniteRatio) {
  const Schedule schedule{{}, 1, {0.5, 0.1, 0}};
  EXPECT_EQ(schedule.at(std::numeric_limits<double>::infinity()), (NoiseLevel{2.0, 0, 1}));
  EXPECT_EQ(schedule.at(4096).timestep, 2.0);
  EXPECT_NEAR(schedule.at(std::sqrt(3 * 4096.0)).timestep.value(), 1.5, 1e-9);  // half way in the logarithm
}

}  // namespace
}  // namespace steplapse
