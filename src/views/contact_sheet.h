#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/png.h"
#include "views/picture.h"

namespace steplapse {

/// A picture with a line under it; without a picture its place is empty.
struct SheetCell {
  std::optional<Picture> picture;
  std::string label;
  std::string detail = {};            ///< a smaller line under the label
  std::optional<double> change = {};  ///< a bar beneath the picture, full at 1
};

/// A row of pictures, with its name above them.
struct SheetRow {
  std::string name;
  std::vector<SheetCell> cells;
};

/// Each pixel becomes a square of `up`, or each square of `down` one pixel, their mean; one of the two is 1.
struct PictureScale {
  int64_t up = 1, down = 1;
};

/// That which makes a picture at least `least` pixels wide, or at most `most`.
inline PictureScale usual_scale(int64_t width, int64_t least, int64_t most) {
  if (width < least) return {.up = (least + width - 1) / width};
  return {.down = (width + most - 1) / most};
}

/// Pictures in rows, one below the other.
struct ContactSheet {
  std::string title = {};  ///< above all rows; empty: none
  std::string about = {};  ///< in smaller letters below it
  std::vector<SheetRow> rows;
  std::vector<std::string> notes = {};     ///< below all rows
  std::optional<PictureScale> scale = {};  ///< none: the widest picture is shown 128 pixels wide or more, at most 256
};

/// The bytes of a PNG file. A picture that is smaller than others, as latents are, is shown larger by a whole factor.
/// Equal input gives equal bytes on a machine. @param texts  as encode_png
/// @throws UsageError  the sheet would have a side above 32,767 pixels
std::string png_of(const ContactSheet& sheet, const std::vector<PngText>& texts = {});

/// Whether png_of can draw a sheet; its pictures need no pixels yet.
/// @param way_out  what would make it smaller
/// @throws UsageError  it would have a side above 32,767 pixels
void check_size(const ContactSheet& sheet, const std::string& way_out);

}  // namespace steplapse
