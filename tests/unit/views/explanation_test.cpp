#include "views/explanation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "base/aten.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;
using testing::Pair;

constexpr int64_t kSize = 16;

/// [1, 16, 16]: a wave of so many periods down the rows. Of 0 periods it is a colour.
Tensor wave(int64_t periods) {
  const Tensor rows = at::arange(kSize, at::kDouble).view({1, kSize, 1});
  return (rows * (2 * std::numbers::pi * static_cast<double>(periods) / kSize)).cos().expand({1, kSize, kSize});
}

/// Each part is as far off as this says, as a share of its size, at each step.
std::vector<Tensor> images(const std::vector<double>& colour, const std::vector<double>& coarse,
                           const std::vector<double>& middle, const std::vector<double>& fine) {
  std::vector<Tensor> all;
  for (size_t i = 0; i < colour.size(); ++i) {
    all.push_back((1 + colour[i]) * wave(0) + (1 + coarse[i]) * wave(1) + (1 + middle[i]) * wave(3) +
                  (1 + fine[i]) * wave(6));
  }
  return all;
}

TEST(Settlings, AreTheStepsFromWhichOnEachPartStaysNear) {
  const Tensor end = images({0}, {0}, {0}, {0}).front();
  const auto settled = settlings_of(
      images({0.5, 0.05, 0.05, 0.05, 0}, {1, 1, 0.11, 0.09, 0}, {1, 0.01, 1, 1, 0.09},  // near once, and away again
             {-1, -1, -1, -1, 0.2}),
      end, 64, 64);
  EXPECT_THAT(settled.parts, ElementsAre(FieldsAre("colours", 2), FieldsAre("coarse form", 4), FieldsAre("middle", 5),
                                         FieldsAre("details", std::nullopt)));
}

TEST(Settlings, LeaveOutAPartThatSoSmallAnImageDoesNotHave) {
  const Tensor end = at::randn({4, 4, 4}, at::kDouble);
  EXPECT_THAT(settlings_of({end}, end, 16, 16).parts,
              ElementsAre(FieldsAre("colours", 1), FieldsAre("middle", 1), FieldsAre("details", 1)));
}

TEST(Settlings, NameTheRegionThatCameLastWithItsPixels) {
  const Tensor end = at::ones({2, 9, 9}, at::kDouble), early = end.clone(), late = end.clone();
  early.slice(1, 0, 3) += 1;                // all of the top, at step 1
  late.slice(1, 6, 9).slice(2, 3, 6) += 1;  // below the centre, at steps 1 and 2
  const Region last = settlings_of({early + late - end, late, end}, end, 72, 90).last;
  EXPECT_EQ(last.name, "bottom");
  EXPECT_EQ(last.step, 3);
  EXPECT_THAT((std::vector{last.x, last.y, last.width, last.height}), ElementsAre(24, 60, 24, 30));
}

// ---- the two answers

/// A step of an eps model from sigma to `next`, alpha 1. Its answers have length 1 and this angle between them, in degrees.
HistoryStep step_with(int64_t number, double sigma, double next, std::optional<double> angle, double x0 = 0) {
  HistoryStep step;
  const double radians = angle.value_or(0) * std::numbers::pi / 180;
  const Tensor cond = at::tensor({1.0, 0.0}).view({1, 1, 1, 2});
  const Tensor uncond = at::tensor({std::cos(radians), std::sin(radians)}).view({1, 1, 1, 2});
  step.questions.push_back({number, number, {100.0, 1.0, sigma}, at::zeros({1, 1, 1, 2}, at::kDouble)});
  step.answers.push_back({cond, angle ? uncond : Tensor(), 0});
  step.step = {number, {{}, 1.0, next}, at::zeros({1, 1, 1, 2}), at::full({1, 1, 1, 2}, x0, at::kDouble)};
  return step;
}

History history_with(std::vector<HistoryStep> steps) {
  History history;
  history.recipe.guidance.scale = 3;
  history.start = at::zeros({1, 1, 1, 2});
  history.steps = std::move(steps);
  history.latents = at::ones({1, 1, 1, 2});
  return history;
}

/// The step that a rule names, and the steps that it spares; 0 and 0: none.
std::pair<int64_t, int64_t> found_by(const std::string& rule, const Explanation& all) {
  for (const LeavingOut& each : all.leaving_out) {
    if (each.rule == rule) return {each.from, each.spared};
  }
  return {0, 0};
}

TEST(SecondAnswer, CanBeLeftOutWhereTheAnglesStaySmall) {
  const Explanation all = explain(
      history_with({step_with(1, 8, 4, 5), step_with(2, 4, 2, 60), step_with(3, 2, 1, 8), step_with(4, 1, 0, 7)}));
  ASSERT_EQ(all.steps.size(), 4u);
  EXPECT_NEAR(all.steps[1].cosine.value(), 0.5, 1e-9);
  EXPECT_NEAR(degrees_of(all.steps[2].cosine.value()), 8, 1e-6);
  EXPECT_EQ(all.guided, 4);
  EXPECT_THAT(found_by("alike", all), Pair(3, 2));  // cos 8° is 0.9903
}

TEST(SecondAnswer, IsNeededWhereTheLastAnglesAreLarge) {
  const Explanation all = explain(history_with({step_with(1, 8, 4, 1), step_with(2, 4, 0, 9)}));  // cos 9° is 0.9877
  EXPECT_THAT(found_by("alike", all), Pair(0, 0));
}

TEST(SecondAnswer, CountsTheStepsThatAskedForIt) {
  const Explanation all = explain(
      history_with({step_with(1, 8, 4, 60), step_with(2, 4, 2, {}), step_with(3, 2, 1, 1), step_with(4, 1, 0, {})}));
  EXPECT_EQ(all.guided, 2);
  EXPECT_THAT(found_by("alike", all), Pair(3, 1));
  EXPECT_EQ(all.steps[1].cosine, std::nullopt);
  EXPECT_EQ(all.steps[3].left_out, std::nullopt);
  const Explanation alone = explain(history_with({step_with(1, 8, 0, {})}));
  EXPECT_EQ(alone.guided, 0);
  EXPECT_TRUE(alone.leaving_out.empty());
}

// Guidance 3 moves eps by 2 (cond - uncond), and x0 by sigma times that. A step to sigma 0 goes all of the way, so what it
// moved x0 by is what it moved the end by; one from 2 to 1 goes half of it.
TEST(SecondAnswer, MovesTheEndByWhatTheStepsGoOfTheWay) {
  const double apart = 2 * std::sin(3 * std::numbers::pi / 180) / std::sqrt(2.0);  // rms of cond - uncond at 6°
  const Explanation both = explain(history_with({step_with(1, 2, 1, 6), step_with(2, 1, 0, 6)}));
  EXPECT_NEAR(both.steps[1].guidance.value(), 2 * apart, 1e-9);
  EXPECT_NEAR(both.steps[1].left_out.value(), 2 * apart, 1e-9);
  EXPECT_NEAR(both.steps[0].left_out.value(), 2 * 2 * apart / 2 + 2 * apart, 1e-9);
}

TEST(SecondAnswer, CanBeLeftOutWhereTheEndMovesLittle) {
  // At sigma 0.001 an angle of 60 degrees, rms 1 / sqrt(2), moves the end by 0.0014, and at sigma 1 by 1.4. The end has rms 1.
  const Explanation all =
      explain(history_with({step_with(1, 2, 1, 60), step_with(2, 1, 0.001, 60), step_with(3, 0.001, 0, 60)}));
  EXPECT_NEAR(all.steps[2].left_out.value(), 2 * 0.001 / std::sqrt(2.0), 1e-9);
  EXPECT_THAT(found_by("little", all), Pair(3, 1));
  EXPECT_THAT(found_by("alike", all), Pair(0, 0));
}

// ---- straight on

TEST(Straight, IsWhereTheSecondDifferenceStaysSmall) {
  const Explanation all =
      explain(history_with({step_with(1, 5, 4, {}, 0), step_with(2, 4, 3, {}, 0.5), step_with(3, 3, 2, {}, 0.6),
                            step_with(4, 2, 1, {}, 0.7), step_with(5, 1, 0, {}, 0.805)}));
  EXPECT_EQ(all.end_rms, 1);
  EXPECT_EQ(all.steps[0].x0_change, std::nullopt);
  EXPECT_EQ(all.steps[1].second_difference, std::nullopt);
  EXPECT_NEAR(all.steps[2].second_difference.value(), 0.4, 1e-9);  // 0.6 - 2 * 0.5 + 0
  EXPECT_THAT(all.straight, ElementsAre(4, 5));                    // 0 and 0.005
  EXPECT_NEAR(all.steps[4].x0_to_final, 0.195, 1e-9);
}

}  // namespace
}  // namespace steplapse
