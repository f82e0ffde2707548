#include "runs/stop_when_converged.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/aten.h"

namespace steplapse {
namespace {

using ::testing::Eq;
using ::testing::StrEq;

constexpr double kX0Rms = 2;

/// A run of steps whose x0 moves by these amounts, each as a share of the rms of clean latents. The first step is before
/// the first of them; the last one ends at the last level.
struct Moving {
  explicit Moving(std::vector<double> moves) : moves(std::move(moves)) {
    task.plan.made_steps = steps();
    task.plan.recipe.schedule.levels = {{999.0, 0.1, 1.0}, {std::nullopt, 1.0, 0.0}};
  }
  int64_t steps() const { return static_cast<int64_t>(moves.size()) + 1; }

  /// The step that it ends after.
  int64_t end(StopWhenConverged& watcher) const {
    double x0 = 7;
    for (int64_t step = 1; step <= steps(); ++step) {
      if (step > 1) x0 += kX0Rms * moves[static_cast<size_t>(step) - 2];
      const Tensor estimate = at::full({1, 1, 2, 2}, x0, at::kFloat);
      const NoiseLevel level = step == steps() ? task.plan.recipe.schedule.levels.back() : NoiseLevel{500.0, 0.6, 0.8};
      watcher.answered({.call = 2 * step, .step = step, .level = level, .x = estimate}, {});
      if (watcher.stepped({step, level, estimate, estimate}).stop) return step;
    }
    return steps();
  }
  int64_t end() const {
    StopWhenConverged watcher(task, kX0Rms);
    return end(watcher);
  }

  std::vector<double> moves;
  Task task = {};
};

TEST(StopWhenConverged, EndsAfterThreeSmallChangesInARow) {
  Moving run({.3, .3, .01, .01, .3, .01, -.01, .01, .01});  // of steps 2 to 10; steps 7, 8 and 9 are the first three
  run.task.stop_when_converged = 0.02;
  EXPECT_EQ(run.end(), 9);
  run.task.stop_when_converged = 0.005;
  EXPECT_EQ(run.end(), run.steps());
}

TEST(StopWhenConverged, MakesTwoThirdsOfTheSteps) {
  Moving run(std::vector<double>(10, 0.001));
  run.task.stop_when_converged = 0.02;
  EXPECT_EQ(run.end(), 8);
  run.task.plan.made_steps = std::nullopt;  // the sampler decides
  EXPECT_EQ(run.end(), 4);
}

TEST(StopWhenConverged, NeverEndsBeforeTheStepsThatTheLogHas) {
  Moving run(std::vector<double>(10, 0.001));
  run.task.stop_when_converged = 0.02;
  run.task.logged.emplace().steps.resize(9);
  EXPECT_EQ(run.end(), 9);
}

TEST(StopWhenConverged, DoesNothingUnlessItIsTold) {
  const Moving run(std::vector<double>(10, 0.0));
  StopWhenConverged watcher(run.task, kX0Rms);
  EXPECT_EQ(run.end(watcher), run.steps());
  EXPECT_FALSE(watcher.settled());
}

TEST(StopWhenConverged, RemembersWhereItWouldHaveEnded) {
  Moving run(std::vector<double>(10, 0.001));
  run.task.would_stop = 0.02;
  StopWhenConverged watcher(run.task, kX0Rms);
  EXPECT_EQ(run.end(watcher), run.steps());
  ASSERT_TRUE(watcher.settled());
  EXPECT_EQ(watcher.settled()->step, 8);
  EXPECT_EQ(watcher.settled()->calls, 16);
  EXPECT_NEAR(watcher.settled()->x0.mean().item<double>(), 7 + 7 * 0.001 * kX0Rms, 1e-5);
}

TEST(WouldStop, IsSaidInWordsAndInJson) {
  const WouldStop found{.threshold = 0.02, .step = 21, .steps = 30, .denoiser_calls_saved = 1, .psnr = 34.74};
  EXPECT_THAT(would_stop_line(found),
              StrEq("would have stopped after step 21 of 30: x0 changed less than 0.02 for 3 steps; its x0 is 34.7 dB "
                    "from the final picture, 1 denoiser call fewer"));
  EXPECT_THAT(would_stop_json(found).dump(),
              StrEq(R"({"threshold":0.02,"step":21,"denoiser_calls_saved":1,"psnr":34.74})"));
  const WouldStop equal{.threshold = 0.02, .step = 21, .psnr = std::numeric_limits<double>::infinity()};
  EXPECT_THAT(would_stop_json(equal).at("psnr"), Eq(nullptr));
}

}  // namespace
}  // namespace steplapse
