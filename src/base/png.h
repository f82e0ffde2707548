#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace steplapse {

/// What a PNG says about itself. `keyword` is 1 to 79 printable ASCII characters; `text` is UTF-8 without NUL.
struct PngText {
  std::string keyword;
  std::string text;
};

/// A picture as the bytes of a PNG file: 8 bits, RGB, no date, so the same input gives the same bytes.
///
/// @param pixels  [height, width, 3], row by row from the top
/// @param texts   written before the pixels, in this order. As Pillow does, whose files web UIs read: tEXt where Latin-1
///                has all the characters, otherwise iTXt, uncompressed.
/// @throws std::invalid_argument  pixels that are not height * width * 3, a picture above 2 GB, a keyword or text that
///                                PNG can't hold.
///
/// Source: PNG specification, third edition, 11.3.3 (text); stb_image_write, libdeflate.
std::string encode_png(std::span<const uint8_t> pixels, int64_t width, int64_t height,
                       const std::vector<PngText>& texts);

}  // namespace steplapse
