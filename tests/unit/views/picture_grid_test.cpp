#include "views/picture_grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/png_reader.h"
#include "steplapse/error.h"
#include "support/temporary_folder.h"

namespace steplapse {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

Picture plain_picture(int64_t width, int64_t height, uint8_t red) {
  Picture picture{width, height, {}};
  for (int64_t i = 0; i < width * height; ++i) picture.rgb.insert(picture.rgb.end(), {red, 0, 255});
  return picture;
}

PictureGrid grid_of(std::vector<Picture> pictures, std::optional<int64_t> cell_size = {}) {
  PictureGrid grid{.columns = std::vector<std::string>(pictures.size(), "5"), .rows = {"euler"}, .cell = {}};
  for (const Picture& picture : pictures) {
    grid.width = std::max(grid.width, picture.width);
    grid.height = std::max(grid.height, picture.height);
  }
  grid.cell = [=](size_t, size_t column) { return GridCell{.picture = pictures[column]}; };
  grid.cell_size = cell_size;
  return grid;
}

/// How many pixels of a grid are of this picture's colour.
int64_t pixels_of(const PictureGrid& grid, uint8_t red) {
  const test_support::TemporaryFolder folder;
  folder.write("grid.png", png_of(grid));
  const PngContent png = read_png(folder / "grid.png");
  int64_t found = 0;
  for (size_t i = 0; i < png.rgb.size(); i += 3)
    found += png.rgb[i] == red && png.rgb[i + 1] == 0 && png.rgb[i + 2] == 255;
  return found;
}

TEST(PictureGrid, EnlargesSmallPicturesByWholeFactors) {
  EXPECT_EQ(pixels_of(grid_of({plain_picture(16, 16, 1)}), 1), 128 * 128);
  EXPECT_EQ(pixels_of(grid_of({plain_picture(100, 50, 1)}), 1), 200 * 100);
}

TEST(PictureGrid, ReducesLargePicturesByWholeFactors) {
  EXPECT_EQ(pixels_of(grid_of({plain_picture(600, 300, 1)}), 1), 200 * 100);
}

TEST(PictureGrid, ShowsPicturesNoLargerThanTheCell) {
  EXPECT_EQ(pixels_of(grid_of({plain_picture(16, 16, 1)}, 40), 1), 32 * 32);
  EXPECT_EQ(pixels_of(grid_of({plain_picture(64, 32, 1)}, 40), 1), 32 * 16);
}

TEST(PictureGrid, ShowsPicturesOfDifferentSizesInEqualPlaces) {
  const PictureGrid grid = grid_of({plain_picture(128, 128, 1), plain_picture(30, 60, 2)});
  EXPECT_EQ(pixels_of(grid, 1), 128 * 128);
  EXPECT_EQ(pixels_of(grid, 2), 60 * 120);
}

TEST(PictureGrid, RefusesASideThatNoPictureCanHave) {
  EXPECT_THAT([] { png_of(grid_of(std::vector<Picture>(300, plain_picture(16, 16, 1)))); },
              ThrowsMessage<UsageError>(HasSubstr("at most 32767 a side")));
}

}  // namespace
}  // namespace steplapse
