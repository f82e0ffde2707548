#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/png.h"
#include "views/picture.h"

namespace steplapse {

/// A place in a grid: a picture, or what is said in its place.
struct GridCell {
  std::optional<Picture> picture = {};
  std::string instead = {};  ///< "failed"
  std::string detail = {};   ///< a smaller line under it
};

/// Pictures in rows and columns, with the names of both beside them.
struct PictureGrid {
  std::string title = {}, about = {};           ///< as ContactSheet
  std::string column_name = {}, row_name = {};  ///< of what the columns and rows are of: "steps"; empty: none
  std::vector<std::string> columns, rows;       ///< their labels: at least one each; "" where there is none to say
  std::function<GridCell(size_t row, size_t column)> cell;  ///< is asked once for each
  int64_t width = 0, height = 0;                            ///< of the largest picture
  std::optional<int64_t> cell_size = {};                    ///< the most pixels of its longer side; none: 128 to 256
  std::vector<std::string> notes = {};                      ///< below the pictures
};

/// The bytes of a PNG file. Pictures are enlarged or reduced by whole factors. Equal input gives equal bytes on a machine.
/// @throws UsageError  it would have a side above 32,767 pixels, or more than 2^28 pixels
std::string png_of(const PictureGrid& grid, const std::vector<PngText>& texts = {});

}  // namespace steplapse
