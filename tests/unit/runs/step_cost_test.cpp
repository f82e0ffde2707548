#include "runs/step_cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/aten.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StrEq;
using ::testing::ThrowsMessage;

constexpr int64_t kOneGigabyte = 1'000'000'000;

TEST(StepCost, AttentionGrowsWithTheCellsSquaredAndTheRestWithTheCells) {
  const auto seconds = [](double cells) { return 0.001 * cells + 0.00002 * cells * cells; };
  const Taken seen{.cells = 100, .seconds = seconds(100), .attention_seconds = 0.00002 * 100 * 100};
  EXPECT_NEAR(seconds_at(6400, seen), seconds(6400), 1e-9 * seconds(6400));
}

TEST(StepCost, MemoryIsNeverOverestimatedAndExactWhereItGrowsWithTheCells) {
  const auto at = [](auto bytes, int64_t cells) { return Taken{.cells = cells, .bytes = bytes(cells)}; };
  const auto line = [](int64_t cells) { return 12 * cells; };
  EXPECT_EQ(bytes_at(6400, at(line, 16), at(line, 64)), line(6400));
  const auto parabola = [](int64_t cells) { return 5000 + 12 * cells + 3 * cells * cells; };
  EXPECT_LE(bytes_at(6400, at(parabola, 16), at(parabola, 64)), parabola(6400));
  EXPECT_GE(bytes_at(6400, at(parabola, 16), at(parabola, 64)), line(6400));
}

TEST(StepCost, CountsTheTensorsThatLiveAtOneTime) {
  const Tensor x = at::ones(1000);
  const Taken taken = taken_by(1, [&] {
    Tensor y = x + 1;        // 4000 bytes
    y = y * 2;               // 8000 with the one it comes from
    const Tensor z = y.t();  // none: a view
    y = at::cat({z, z});     // 12000
  });
  EXPECT_EQ(taken.bytes, 12000);
}

TEST(StepCost, OnlyAttentionOfAllToAllCountsAsSuch) {
  const Tensor cells = at::ones({1, 1, 3000, 8}), words = at::ones({1, 1, 7, 8});
  EXPECT_EQ(taken_by(1, [&] { at::scaled_dot_product_attention(cells, words, words); }).attention_seconds, 0);
  const Taken taken = taken_by(1, [&] { at::scaled_dot_product_attention(cells, cells, cells); });
  EXPECT_GT(taken.attention_seconds, 0);
  EXPECT_LE(taken.attention_seconds, taken.seconds);
}

TEST(StepCost, TimeIsSaidInAUnitThatFits) {
  EXPECT_EQ(rough_time(61), "about 1 minute");
  EXPECT_EQ(rough_time(240), "about 4 minutes");
  EXPECT_EQ(rough_time(3.2 * 3600), "about 3 hours");
  EXPECT_EQ(rough_time(5 * 24 * 3600), "about 5 days");
}

TEST(StepCost, MoreThanThereIsIsRefusedAndSwapIsWarnedOf) {
  EXPECT_THAT(check_bytes("a step at 8x8", kOneGigabyte, kOneGigabyte, kOneGigabyte), IsEmpty());
  EXPECT_THAT(
      check_bytes("a step at 8x8", 3 * kOneGigabyte, kOneGigabyte, 4 * kOneGigabyte),
      ElementsAre("a step at 8x8 takes 3.0 GB of memory beside the weights or more, and 1.0 GB are free: it will "
                  "swap, which is slow; a smaller `size` needs less"));
  EXPECT_THAT(
      [] { check_bytes("a step at 8x8", 3 * kOneGigabyte, kOneGigabyte, 2 * kOneGigabyte); },
      ThrowsMessage<MemoryError>(StrEq(
          "a step at 8x8 takes 3.0 GB of memory beside the weights or more, and 1.0 GB are free; a smaller `size` "
          "or a bundle exported with a smaller dtype needs less")));
}

}  // namespace
}  // namespace steplapse
