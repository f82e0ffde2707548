#include "views/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/aten.h"

namespace steplapse {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::StrEq;
using testing::ThrowsMessage;

/// An image of one colour, one pixel.
Tensor pixel(double red, double green, double blue) {
  return at::tensor({red, green, blue}, at::kFloat).view({1, 3, 1, 1});
}

TEST(PictureOf, SpreadsMinusOneToOneOver256Values) {
  EXPECT_THAT(picture_of(pixel(-1, 0, 1), "").rgb, ElementsAre(0, 128, 255));          // 127.5 goes to the even one
  EXPECT_THAT(picture_of(pixel(-0.5, 0.25, 0.5), "").rgb, ElementsAre(64, 159, 191));  // 63.75, 159.375, 191.25
  EXPECT_THAT(picture_of(pixel(-1.01, 7, -300), "").rgb, ElementsAre(0, 255, 0));
}

TEST(PictureOf, GivesEveryPixelValueBack) {
  const Tensor values = at::arange(256, at::kFloat);
  const Picture picture = picture_of((values / 127.5 - 1).view({1, 1, 16, 16}).expand({1, 3, 16, 16}), "");
  for (int value = 0; value < 256; ++value) EXPECT_EQ(picture.rgb[3 * static_cast<size_t>(value)], value);
}

TEST(PictureOf, GoesRowByRowWithItsColoursTogether) {
  // Planes of red, green and blue, each of 2 rows and 3 columns.
  const Tensor planes = at::arange(18, at::kFloat).view({1, 3, 2, 3});
  const Picture picture = picture_of(planes / 127.5 - 1, "");
  EXPECT_EQ(picture.width, 3);
  EXPECT_EQ(picture.height, 2);
  EXPECT_THAT(picture.rgb, ElementsAre(0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 16, 5, 11, 17));
}

TEST(PictureOf, RefusesWhatIsNotFinite) {
  for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    EXPECT_THAT([&] { picture_of(pixel(0, value, 0), "step 3, x0"); },
                ThrowsMessage<std::runtime_error>(StrEq("step 3, x0: the decoded picture is not finite")));
  }
}

TEST(Luminance, IsThatOfEachPixel) {
  const Tensor luminance = luminance_of({2, 1, {255, 0, 0, 10, 20, 30}});
  EXPECT_EQ(luminance.sizes(), (std::vector<int64_t>{1, 1, 2}));
  EXPECT_NEAR(luminance[0][0][0].item<double>(), 255 * 0.2126, 1e-9);
  EXPECT_NEAR(luminance[0][0][1].item<double>(), 2.126 + 14.304 + 2.166, 1e-9);
}

Picture two_pixels(std::vector<uint8_t> rgb) { return {2, 1, std::move(rgb)}; }

TEST(Change, IsMeanAbsoluteDifferenceAndPsnr) {
  // Differences 4 and -2 among six numbers: mean 1, mean square 20 / 6, and 10 log10(255² * 6 / 20) = 42.9020 dB.
  const FrameChange change =
      change_between(two_pixels({0, 10, 20, 30, 40, 50}), two_pixels({4, 10, 20, 30, 40, 48}), 7);
  EXPECT_EQ(change.mean_abs, 1);
  EXPECT_NEAR(change.psnr, 42.9020, 1e-4);
  EXPECT_EQ(change.compared_step, 7);
}

TEST(Change, FromBlackToWhiteIsAll) {
  const FrameChange change =
      change_between(two_pixels(std::vector<uint8_t>(6, 0)), two_pixels(std::vector<uint8_t>(6, 255)), 1);
  EXPECT_EQ(change.mean_abs, 255);
  EXPECT_EQ(change.psnr, 0);
}

TEST(Change, BetweenEqualPicturesIsInfinitePsnr) {
  const Picture picture = two_pixels({1, 2, 3, 4, 5, 6});
  const FrameChange change = change_between(picture, picture, 1);
  EXPECT_EQ(change.mean_abs, 0);
  EXPECT_EQ(change.psnr, INFINITY);
}

// A mean change of 1, 3, 15, 63, 255 is at 1, 2, 4, 6, 8 eighths of the scale.
TEST(HeatMap, GoesFromBlackOverRedAndYellowToWhite) {
  EXPECT_THAT(heat_map(two_pixels({7, 8, 9, 0, 0, 0}), two_pixels({7, 8, 9, 255, 255, 255})).rgb,
              ElementsAre(0, 0, 0, 255, 255, 255));
  EXPECT_THAT(heat_map(two_pixels({0, 0, 0, 50, 50, 50}), two_pixels({3, 0, 0, 49, 47, 45})).rgb,
              ElementsAre(96, 0, 0, 191, 0, 0));  // 255 * 3 / 8 = 95.6 and 255 * 3 * 2 / 8 = 191.25
  EXPECT_THAT(heat_map(two_pixels({0, 0, 0, 0, 0, 0}), two_pixels({15, 15, 15, 63, 63, 63})).rgb,
              ElementsAre(255, 128, 0, 255, 255, 64));
}

TEST(HeatMap, IsTheSameInBothDirections) {
  const Picture a = two_pixels({1, 20, 255, 4, 50, 6}), b = two_pixels({9, 0, 3, 4, 200, 77});
  EXPECT_EQ(heat_map(a, b).rgb, heat_map(b, a).rgb);
}

TEST(SignedMap, IsGreyWhereNothingChangedAndGoesBothWays) {
  EXPECT_THAT(signed_map(two_pixels({0, 100, 200, 9, 9, 9}), two_pixels({0, 100, 200, 9, 9, 9})).rgb, Each(128));
  EXPECT_THAT(signed_map(two_pixels({0, 255, 10, 10, 10, 20}), two_pixels({255, 0, 11, 9, 25, 5})).rgb,
              ElementsAre(255, 1, 144, 112, 192, 65));  // 127 / 8 = 15.9, and half of 127 is 63.5, away from 0
}

}  // namespace
}  // namespace steplapse
