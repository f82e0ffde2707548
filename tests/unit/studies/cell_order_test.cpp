#include "studies/sweep/cell_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace steplapse {
namespace {

using testing::ElementsAre;

SweepAxis axis_of(const std::string& name, const std::vector<std::string>& texts) {
  SweepAxis axis{.name = name, .points = {}};
  for (const std::string& text : texts) axis.points.push_back({{name, text}});
  return axis;
}

std::vector<size_t> order_of(const SweepPlan& plan) {
  const CellOrder order(plan);
  std::vector<size_t> cells;
  for (size_t place = 0; place < order.size(); ++place) cells.push_back(order.cell_at(place));
  return cells;
}

SweepPlan plan_of_axes(std::vector<SweepAxis> axes) {
  return {.model = "", .model_sha256 = "", .axes = std::move(axes)};
}

TEST(CellOrder, KeepsOneNoiseTogetherAndTheLongestFirst) {
  // Cells: steps slowest, seed fastest.
  EXPECT_THAT(order_of(plan_of_axes({axis_of("steps", {"5", "20", "10"}), axis_of("seed", {"1", "2"})})),
              ElementsAre(2, 4, 0, 3, 5, 1));
}

TEST(CellOrder, KeepsAPromptTogetherAcrossSeeds) {
  EXPECT_THAT(order_of(plan_of_axes({axis_of("seed", {"1", "2"}), axis_of("prompt", {"a", "b"})})),
              ElementsAre(0, 2, 1, 3));
}

TEST(CellOrder, HasEachCellOnce) {
  auto cells =
      order_of(plan_of_axes({axis_of("sampler", {"ddim", "euler", "heun"}), axis_of("seed", {"1", "2"}),
                             axis_of("timesteps", {"900,500,0", "900,0"}), axis_of("weight", {"a=1", "a=2"})}));
  std::ranges::sort(cells);
  for (size_t cell = 0; cell < cells.size(); ++cell) EXPECT_EQ(cells[cell], cell);
  EXPECT_EQ(cells.size(), 24);
}

TEST(CellOrder, KnowsTheStepsThatThePlanAsksFor) {
  const CellOrder order(plan_of_axes({axis_of("steps", {"5", "20"})}));
  EXPECT_EQ(order.steps_at(0, 30), 20);
  EXPECT_EQ(order.steps_at(1, 30), 5);
  SweepPlan plan = plan_of_axes({axis_of("seed", {"1"})});
  EXPECT_EQ(CellOrder(plan).steps_at(0, 30), 30);
  plan.fixed = {{"steps", "7"}};
  EXPECT_EQ(CellOrder(plan).steps_at(0, 30), 7);
}

}  // namespace
}  // namespace steplapse
