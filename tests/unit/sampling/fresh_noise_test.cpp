#include "sampling/fresh_noise.h"

#include <gtest/gtest.h>

#include "base/aten.h"

namespace steplapse {
namespace {

/// A step whose noise has unit variance: x = alpha x0 + sigma eps.
Step step_at(double alpha, double sigma) {
  const Tensor x0 = Noise(Rng::cpu, 1).draw({1, 4, 64, 64}), eps = Noise(Rng::cpu, 2).draw({1, 4, 64, 64});
  return {3, {400.0, alpha, sigma}, alpha * x0 + sigma * eps, x0};
}

double std_of(const Tensor& x) { return x.std().item<double>(); }

TEST(FreshNoise, IsAddedInTheLevelsUnit) {
  const Step step = step_at(0.8, 0.6);
  const Tensor added = with_fresh_noise(step, {.amount = 0.5, .seed = 9}) - step.x;
  EXPECT_TRUE(at::allclose(added, 0.5 * 0.6 * Noise(Rng::cpu, 9).like(step.x), 0, 1e-6));
}

TEST(FreshNoise, MixedKeepsTheVarianceOfTheNoise) {
  const Step step = step_at(0.8, 0.6);
  for (const double amount : {0.1, 0.7, 1.0}) {
    const Tensor mixed = with_fresh_noise(step, {.amount = amount, .keep_variance = true, .seed = 9});
    EXPECT_NEAR(std_of(mixed - 0.8 * step.x0), 0.6, 0.02) << amount;
  }
  // All noise is replaced at 1, and none at 0.
  const Tensor replaced = with_fresh_noise(step, {.amount = 1, .keep_variance = true, .seed = 9});
  EXPECT_TRUE(at::allclose(replaced, 0.8 * step.x0 + 0.6 * Noise(Rng::cpu, 9).like(step.x), 0, 1e-5));
  EXPECT_TRUE(at::equal(with_fresh_noise(step, {.amount = 0, .keep_variance = true}), step.x));
}

TEST(FreshNoise, StaysInItsRegion) {
  const Step step = step_at(0.8, 0.6);
  const Tensor change =
      with_fresh_noise(step, {.amount = 1, .seed = 9, .region = FreshNoise::Region{8, 16, 4, 2}}) - step.x;
  EXPECT_EQ(at::count_nonzero(change).item<int64_t>(), 4 * 4 * 2);
  EXPECT_EQ(at::count_nonzero(change.slice(2, 16, 18).slice(3, 8, 12)).item<int64_t>(), 4 * 4 * 2);
}

TEST(FreshNoise, ChangesNothingAtTheEnd) {
  const Step step = step_at(1, 0);
  EXPECT_TRUE(at::equal(with_fresh_noise(step, {.amount = 1}), step.x));
}

}  // namespace
}  // namespace steplapse
