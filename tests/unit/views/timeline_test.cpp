#include "views/film/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "steplapse/error.h"

namespace steplapse {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::Pointwise;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

testing::Matcher<std::vector<double>> near(const std::vector<double>& values) {
  return Pointwise(testing::DoubleNear(1e-12), values);
}

TEST(Timeline, EqualSharesEndAtEqualTimesAndTheHoldsComeOnTop) {
  EXPECT_THAT(ends_of({1, 1, 1, 1}, {.fps = 4, .hold_last = 0}), near({0.25, 0.5, 0.75, 1}));
  EXPECT_THAT(ends_of({1, 1}, {.fps = 1, .hold_first = 2, .hold_last = 3}), near({3, 7}));
  EXPECT_THAT(ends_of({1, 1}, {.duration = 10, .hold_first = 2, .hold_last = 3}), near({4.5, 10}));
}

TEST(Timeline, APictureStandsATenthOfTheMeanAtLeast) {
  // The mean of 0 and 2 is 1, so the first has 0.1 of 2.1.
  EXPECT_THAT(ends_of({0, 2}, {.fps = 1, .hold_last = 0}), near({2 * 0.1 / 2.1, 2}));
  EXPECT_THAT(ends_of({0, 0}, {.fps = 1, .hold_last = 0}), near({1, 2}));
  // A mean time of 0.02 s leaves nothing to take away.
  EXPECT_THAT(ends_of({0, 2}, {.fps = 50, .hold_last = 0}), near({0.04 / 3, 0.04}));
}

TEST(Timeline, HoldsThatTakeAllOfTheDurationAreRefused) {
  EXPECT_THROW(ends_of({1}, {.duration = 1, .hold_last = 1}), UsageError);
}

TEST(Timeline, NoiseThatFallsByOneFactorSharesAlike) {
  EXPECT_THAT(shares_by_sigma({8, 4, 2, 1}), near({std::log(2), std::log(2), std::log(2), std::log(2)}));
  EXPECT_THAT(shares_by_sigma({kInfinity, 9, 3, 0}), near({std::log(3), std::log(3), std::log(3), std::log(3)}));
  EXPECT_THAT(shares_by_sigma({0}), near({1}));
}

TEST(Timeline, TheFirstPictureHasTheSecondsChange) {
  EXPECT_THAT(shares_by_change({2, 5}), ElementsAre(2, 2, 5));
  EXPECT_THAT(shares_by_change({}), ElementsAre(1));
}

TEST(Timeline, PicturesBetweenShareTheTimeOfTheOneBefore) {
  EXPECT_THAT(shares_with_between({3, 6, 9}, 2), near({1, 1, 1, 2, 2, 2, 3}));
}

TEST(Timeline, AnotherRunShowsItsFirstPictureAtOrPastTheSameNoise) {
  EXPECT_THAT(aligned({8, 6, 4, 2, 1}, {8, 4, 1}), ElementsAre(0, 1, 1, 2, 2));
  EXPECT_THAT(aligned({8, 4, 2}, {8, 5, 3}), ElementsAre(0, 2, 2));  // it never comes to 2
  EXPECT_THAT(aligned({8, 4, 6, 3}, {8, 4, 6, 3}), ElementsAre(0, 1, 2, 3));
}

}  // namespace
}  // namespace steplapse
