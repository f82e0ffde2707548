#include "studies/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/aten.h"

namespace steplapse {
namespace {

Tensor value(double number) { return at::full({1, 1, 2, 2}, number); }

Estimate estimate(int64_t step, double sigma, double x0) { return {step, {100.0, 1, sigma}, value(x0)}; }

double number(const Tensor& x) { return x[0][0][0][0].item<double>(); }

TEST(Comparison, TakesAStepsOwnX0WhereItHasTheLevel) {
  const std::vector<Estimate> steps{estimate(1, 8, 10), estimate(2, 2, 20)};
  const auto found = estimate_at(steps, 2);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->is_interpolated);
  EXPECT_EQ(found->step, 2);
  EXPECT_EQ(number(found->x0), 20);
}

// 4 lies in the middle of 8 and 2 in log sigma.
TEST(Comparison, InterpolatesX0LinearlyInLogSigma) {
  const auto found = estimate_at({estimate(1, 8, 10), estimate(2, 2, 20)}, 4);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->is_interpolated);
  EXPECT_DOUBLE_EQ(found->step, 1.5);
  EXPECT_FLOAT_EQ(number(found->x0), 15);
}

TEST(Comparison, HasNoX0OutsideTheLevels) {
  const std::vector<Estimate> steps{estimate(1, 8, 10), estimate(2, 2, 20)};
  EXPECT_FALSE(estimate_at(steps, 9));
  EXPECT_FALSE(estimate_at(steps, 1));
}

TEST(Comparison, TakesTheLastPassOfARunThatGoesBackUp) {
  const auto found = estimate_at({estimate(1, 8, 0), estimate(2, 2, 1), estimate(3, 8, 10), estimate(4, 2, 20)}, 4);
  ASSERT_TRUE(found);
  EXPECT_DOUBLE_EQ(found->step, 3.5);
}

TEST(Comparison, DoesNotInterpolateFromInfiniteSigma) {
  const double infinite = std::numeric_limits<double>::infinity();
  Estimate first = estimate(1, 1, 0);
  first.level.alpha = 0;
  ASSERT_EQ(noise_ratio(first.level), infinite);
  const std::vector<Estimate> steps{first, estimate(2, 2, 20)};
  EXPECT_FALSE(estimate_at(steps, 4));
  EXPECT_TRUE(estimate_at(steps, infinite));
}

TEST(Comparison, PartsAtTheFirstPointFurtherThanTheShare) {
  const ComparedRun one{{estimate(1, 8, 10), estimate(2, 4, 10), estimate(3, 2, 10)}, value(10)};
  const ComparedRun two{{estimate(1, 8, 10.5), estimate(2, 4, 11.5), estimate(3, 2, 14)}, value(14)};
  const Comparison comparison = compare_runs({one, two}, Alignment::sigma, 0.1);
  EXPECT_DOUBLE_EQ(comparison.parts_above, 1);
  EXPECT_EQ(comparison.parts.front(), 1U);
  EXPECT_DOUBLE_EQ(comparison.ends.front(), 4);
}

TEST(Comparison, SettlesWhereX0StaysNearItsEnd) {
  const ComparedRun run{{estimate(1, 8, 10), estimate(2, 4, 5), estimate(3, 2, 9.5), estimate(4, 1, 10)}, value(10)};
  EXPECT_EQ(compare_runs({run, run}, Alignment::step, 0.1).settles.front(), 3);  // step 1 was near by chance
  EXPECT_EQ(compare_runs({run, run}, Alignment::step, 0.6).settles.front(), 1);
  const ComparedRun never{{estimate(1, 8, 5)}, value(10)};
  EXPECT_EQ(compare_runs({never, never}, Alignment::step, 0.1).settles.front(), std::nullopt);
}

}  // namespace
}  // namespace steplapse
