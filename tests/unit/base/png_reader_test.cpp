#include "base/png_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file_io.h"
#include "base/png.h"
#include "steplapse/error.h"
#include "support/temporary_folder.h"

namespace steplapse {
namespace {

using test_support::TemporaryFolder;
using testing::HasSubstr;
using testing::ThrowsMessage;

class PngReader : public testing::Test {
 protected:
  TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "x.png";
};

TEST_F(PngReader, ReadsWhatWasWritten) {
  const std::vector<uint8_t> pixels{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255, 0, 128};
  write_whole(file_, encode_png(pixels, 3, 2, {{"latin", "\xc3\xa9t\xc3\xa9"}, {"wide", "\xf0\x9f\x8d\x8e"}}));
  const PngContent content = read_png(file_);
  EXPECT_EQ(content.width, 3);
  EXPECT_EQ(content.height, 2);
  EXPECT_EQ(content.rgb, pixels);
  EXPECT_EQ(content.texts.at("latin"), "\xc3\xa9t\xc3\xa9");  // tEXt, which is Latin-1
  EXPECT_EQ(content.texts.at("wide"), "\xf0\x9f\x8d\x8e");    // iTXt
}

TEST_F(PngReader, RefusesWhatIsNoPngOrACutOne) {
  const auto read = [&] { read_png(file_); };
  write_whole(file_, "GIF89a and more");
  EXPECT_THAT(read, ThrowsMessage<UsageError>(HasSubstr("x.png': not a PNG file")));
  const std::string whole = encode_png(std::vector<uint8_t>(16 * 16 * 3, 7), 16, 16, {});
  for (size_t size = 8; size < whole.size(); ++size) {
    write_whole(file_, whole.substr(0, size));
    EXPECT_THAT(read, ThrowsMessage<UsageError>(HasSubstr("a damaged PNG file"))) << size;
  }
}

}  // namespace
}  // namespace steplapse
