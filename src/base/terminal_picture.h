#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace steplapse {

/// What puts a picture at a terminal's cursor. The cursor ends at the left of the row below it.
struct TerminalPicture {
  std::string text;
  size_t rows;
};

/// 8-bit RGB pixels, [height, width, 3].
struct Pixels {
  std::span<const uint8_t> rgb;
  size_t width, height;
};

/// Two pixels a character, one above the other: the upper half block U+2580 in 24-bit colours. A picture that is larger than
/// the place is made smaller, each pixel the mean of those that it stands for.
/// @param columns,rows  the place, in characters; 1 or more
TerminalPicture half_blocks(const Pixels& pixels, size_t columns, size_t rows);

/// By kitty's graphics protocol (sw.kovidgoyal.net/kitty/graphics-protocol), at the same place in the terminal as the last
/// one, which it replaces.
/// @param png  the picture as a PNG file, of this size in pixels
TerminalPicture kitty_picture(std::string_view png, size_t width, size_t height, size_t columns, size_t rows);

}  // namespace steplapse
