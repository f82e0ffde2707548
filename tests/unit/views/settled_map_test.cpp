#include "views/settled_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace steplapse {
namespace {

using testing::ElementsAre;

/// Three grey pixels in a row.
Picture greys(int left, int middle, int right) {
  Picture picture{3, 1, {}};
  for (const int grey : {left, middle, right}) picture.rgb.insert(picture.rgb.end(), 3, static_cast<uint8_t>(grey));
  return picture;
}

TEST(SettledMap, HasTheStepFromWhichOnAPixelStaysNear) {
  // Near from the start; near, away, near again; away up to the end.
  const std::vector<Picture> pictures{greys(110, 100, 0), greys(90, 111, 0), greys(100, 90, 0), greys(100, 100, 100)};
  const SettledMap map =
      settled_map({2, 3, 4, 5}, [&](int64_t step) { return pictures.at(static_cast<size_t>(step - 2)); }, 10);
  EXPECT_EQ(map.width, 3);
  EXPECT_EQ(map.height, 1);
  EXPECT_THAT(map.steps, ElementsAre(2, 4, 5));
  EXPECT_THAT(settled_shares(map), ElementsAre(1.0 / 3, 1.0 / 3, 2.0 / 3, 1));
}

TEST(SettledMap, LooksAtEachColour) {
  const Picture end{1, 1, {50, 50, 50}};
  for (size_t colour = 0; colour < 3; ++colour) {
    for (const int difference : {-11, -10, 10, 11}) {
      Picture before = end;
      before.rgb[colour] = static_cast<uint8_t>(50 + difference);
      const auto map = settled_map({1, 2}, [&](int64_t step) { return step == 1 ? before : end; }, 10);
      EXPECT_THAT(map.steps, ElementsAre(std::abs(difference) <= 10 ? 1 : 2));
    }
  }
}

TEST(SettledMap, IsBlackWherePixelsSettleFirstAndWhiteWhereLast) {
  const Picture map = picture_of({{10, 20, 30, 40}, 4, 1, {10, 20, 30, 40}});
  EXPECT_THAT(map.rgb, ElementsAre(0, 0, 0, 255, 0, 0, 255, 255, 0, 255, 255, 255));
}

TEST(SettledMap, OfOneStepIsBlack) {
  const Picture one = greys(1, 2, 3);
  const SettledMap map = settled_map({7}, [&](int64_t) { return one; }, 0);
  EXPECT_THAT(map.steps, ElementsAre(7, 7, 7));
  EXPECT_THAT(picture_of(map).rgb, testing::Each(0));
}

}  // namespace
}  // namespace steplapse
