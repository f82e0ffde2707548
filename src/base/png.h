#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace steplapse {

/// A text in a PNG file. `keyword` is 1 to 79 printable ASCII characters without spaces; `text` is UTF-8 without NUL.
struct PngText {
  std::string keyword;
  std::string text;
};

/// A picture as the bytes of a PNG file: 8 bits, RGB, no date, so equal input gives equal bytes.
///
/// @param pixels  [height, width, 3], row by row from the top
/// @param texts   written before the pixels, in this order. A text is a tEXt chunk where Latin-1 has all its
///                characters, otherwise an uncompressed iTXt chunk. Pillow does the same, and web UIs read its files.
/// @throws std::invalid_argument  the number of pixels is not height * width, the picture is above 2 GB, or PNG cannot
///                                hold a keyword or text
/// @throws std::bad_alloc  no memory for the file
///
/// Source: PNG specification, third edition, 11.3.3 (text); stb_image_write, libdeflate.
std::string encode_png(std::span<const uint8_t> pixels, int64_t width, int64_t height,
                       const std::vector<PngText>& texts);

/// A chunk of a PNG file, with its length and its checksum: a text as encode_png writes it, or any other.
/// @throws std::invalid_argument  as encode_png does
std::string png_text_chunk(const PngText& text);
std::string png_chunk(std::string_view type, std::string_view data);

}  // namespace steplapse
