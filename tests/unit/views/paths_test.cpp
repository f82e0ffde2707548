#include "views/paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/aten.h"

namespace steplapse {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

Tensor latents(double a, double b, double c, double d) {
  return at::tensor({a, b, c, d}, at::kDouble).view({1, 1, 2, 2});
}

// The second run is the first, moved along another axis: x varies by 4 + 0 + 4, y by 6 times 1/4.
TEST(Paths, LieAlongTheAxesOfAFlatCloud) {
  const Paths paths = paths_of({{latents(0, 0, 7, 7), latents(2, 0, 7, 7), latents(4, 0, 7, 7)},
                                {latents(0, 1, 7, 7), latents(2, 1, 7, 7), latents(4, 1, 7, 7)}});
  // Along the first component the first run goes on by 2 a step; as rms of four elements that is 1.
  for (const auto& run : paths.runs) {
    for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(run[i][0], static_cast<double>(i) - 1, 1e-12);
  }
  EXPECT_NEAR(std::abs(paths.runs[0][0][1] - paths.runs[1][0][1]), 0.5, 1e-12);
  EXPECT_THAT(paths.shares, ElementsAre(DoubleNear(16 / 17.5, 1e-12), DoubleNear(1.5 / 17.5, 1e-12)));
}

// The way there and the way back have the same components, whichever way the eigenvectors point.
TEST(Paths, GoOnAlongBothComponentsInTheFirstRun) {
  const std::vector<Tensor> there{latents(0, 0, 0, 0), latents(3, 0, 0, 0), latents(3, 1, 0, 0)},
      back(there.rbegin(), there.rend());
  for (const auto& [first, second] : {std::pair(there, back), {back, there}}) {
    const auto run = paths_of({first, second}).runs.front();
    for (const size_t component : {0, 1}) EXPECT_GT(run.back()[component], run.front()[component]);
  }
}

TEST(Paths, KeepAllDistancesOfThreeLatents) {
  const std::vector<Tensor> run{at::randn({1, 4, 8, 8}), at::randn({1, 4, 8, 8}), at::randn({1, 4, 8, 8})};
  const Paths paths = paths_of({run});
  EXPECT_NEAR(paths.shares[0] + paths.shares[1], 1, 1e-12);
  for (const auto& [i, j] : {std::pair<size_t, size_t>(0, 1), {0, 2}, {1, 2}}) {
    const double distance = (run[i] - run[j]).to(at::kDouble).square().mean().sqrt().item<double>();
    const auto &a = paths.runs[0][i], &b = paths.runs[0][j];
    EXPECT_NEAR(std::hypot(a[0] - b[0], a[1] - b[1]), distance, 1e-7);
  }
}

TEST(Paths, OfOneLatentAndOfEqualOnesStayWhereTheyAre) {
  EXPECT_THAT(paths_of({{latents(1, 2, 3, 4)}}).runs, ElementsAre(ElementsAre(ElementsAre(0, 0))));
  const Paths paths = paths_of({{latents(1, 2, 3, 4), latents(1, 2, 3, 4)}, {latents(1, 2, 3, 4)}});
  EXPECT_THAT(paths.shares, ElementsAre(0, 0));
}

}  // namespace
}  // namespace steplapse
