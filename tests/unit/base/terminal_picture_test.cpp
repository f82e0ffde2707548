#include "base/terminal_picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace steplapse {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::vector<uint8_t> kFour{255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30};  // 2 x 2

TEST(HalfBlocks, HaveTheUpperPixelInFrontAndTheLowerBehind) {
  const TerminalPicture picture = half_blocks({kFour, 2, 2}, 80, 24);
  EXPECT_EQ(picture.text,
            "\033[38;2;255;0;0m\033[48;2;0;0;255m\u2580\033[38;2;0;255;0m\033[48;2;10;20;30m\u2580\033[0m\r\n");
  EXPECT_EQ(picture.rows, 1u);
}

TEST(HalfBlocks, OfAnOddHeightLeaveTheLowerHalfAsItIs) {
  EXPECT_EQ(half_blocks({kFour, 1, 1}, 80, 24).text, "\033[38;2;255;0;0m\u2580\033[0m\r\n");
}

TEST(HalfBlocks, OfALargerPictureHaveMeans) {
  EXPECT_EQ(half_blocks({kFour, 2, 2}, 1, 1).text, "\033[38;2;66;69;71m\u2580\033[0m\r\n");  // of all four pixels
}

TEST(HalfBlocks, KeepToTheirPlace) {
  const std::vector<uint8_t> grey(3 * 200 * 100, 128);
  for (const size_t rows : {1, 7, 20, 300}) {
    const TerminalPicture picture = half_blocks({grey, 200, 100}, 40, rows);
    EXPECT_LE(picture.rows, rows);
    EXPECT_EQ(picture.rows, std::min<size_t>(rows, 10)) << "200 x 100 in 40 columns is 40 x 20";
  }
}

TEST(KittyPicture, SendsThePngInChunksOfAtMost4096Bytes) {
  EXPECT_THAT(kitty_picture("abc", 10, 10, 80, 24).text, HasSubstr(",m=0;YWJj\033\\"));  // RFC 4648
  const std::string text = kitty_picture(std::string(4000, 'x'), 10, 10, 80, 24).text;
  const size_t first = text.find(",m=1;"), second = text.find("\033_Gm=0;");
  ASSERT_NE(first, std::string::npos);
  ASSERT_NE(second, std::string::npos);
  EXPECT_EQ(text.find("\033\\", first) - first - 5, 4096u);
}

TEST(KittyPicture, TakesRowsOfTwiceTheColumnsWidth) {
  EXPECT_EQ(kitty_picture("abc", 64, 64, 80, 20).rows, 20u);
  EXPECT_EQ(kitty_picture("abc", 64, 64, 20, 20).rows, 10u);
  EXPECT_THAT(kitty_picture("abc", 64, 64, 80, 2).text, StartsWith("\n\n\033[2A\r\033_Ga=T,f=100,"));
}

}  // namespace
}  // namespace steplapse
