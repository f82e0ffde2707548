#include "views/pace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace steplapse {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

StepRow row(int64_t step, double sigma, std::optional<double> change) {
  StepRow row;
  row.step = step;
  row.level = {1.0, 1.0, sigma};
  row.x0_rms_change = change;
  return row;
}

TEST(Places, AreNumbersLogSigmasOrChangesSoFar) {
  const std::vector<StepRow> rows{row(1, 10, {}), row(2, 1, 0.5), row(3, 0.1, 0.25)};
  const double decade = std::log(10);
  EXPECT_THAT(places_of(rows, Pace::step), ElementsAre(1, 2, 3));
  EXPECT_THAT(places_of(rows, Pace::sigma), ElementsAre(DoubleNear(-decade, 1e-12), 0, DoubleNear(decade, 1e-12)));
  EXPECT_THAT(places_of(rows, Pace::change), ElementsAre(0, 0.5, 0.75));
}

TEST(Places, StayFiniteAtAlpha0AndStandWhereASamplerGoesBackUp) {
  std::vector<StepRow> rows{row(1, 1, {}), row(2, 0.1, 0.5), row(3, 0.5, 0.5), row(4, 0.01, 0.5)};
  rows.front().level.alpha = 0;
  const auto places = places_of(rows, Pace::sigma);
  EXPECT_TRUE(std::isfinite(places[0]));
  EXPECT_EQ(places[1], places[2]);
  EXPECT_LT(places[2], places[3]);
}

TEST(Spread, IsEvenInPlaces) {
  EXPECT_THAT(spread_evenly({1, 2, 3, 4, 5, 6, 7, 8, 9}, 5), ElementsAre(0, 2, 4, 6, 8));
  EXPECT_THAT(spread_evenly({0, 50, 75, 90, 95, 100}, 3), ElementsAre(0, 1, 5));
  EXPECT_THAT(spread_evenly({0, 1, 2, 3}, 9), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(spread_evenly({0, 1, 2, 3}, 1), ElementsAre(3));
}

TEST(Spread, GivesEachColumnAStepOfItsOwn) {
  EXPECT_THAT(spread_evenly({0, 90, 91, 92, 100}, 4), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(spread_evenly({0, 97, 98, 99, 100}, 4), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(spread_evenly({0, 1, 2, 3, 100}, 4), ElementsAre(0, 2, 3, 4));
  EXPECT_THAT(spread_evenly({0, 0, 0, 0}, 3), ElementsAre(0, 1, 3));
}

TEST(NearestLevel, IsSoInLogSigma) {
  const std::vector<NoiseLevel> levels{{1.0, 1, 16}, {1.0, 1, 4}, {1.0, 1, 1}, {{}, 1, 0}};
  EXPECT_EQ(nearest_level(levels, {1.0, 1, 9}), 0u);  // 4 and 16 part at 8
  EXPECT_EQ(nearest_level(levels, {1.0, 1, 7}), 1u);
  EXPECT_EQ(nearest_level(levels, {1.0, 0.5, 0.5}), 2u);  // sigma / alpha is 1
  EXPECT_EQ(nearest_level(levels, {{}, 1, 0}), 3u);
}

}  // namespace
}  // namespace steplapse
