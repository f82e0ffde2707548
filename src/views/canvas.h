#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/png.h"
#include "views/picture.h"

namespace steplapse {

/// Parts from 0 to 1, in sRGB.
struct Colour {
  double red, green, blue, alpha = 1;
};

/// Pixels to draw pictures, rectangles and text on. Places are in pixels from the top left. What lies outside is cut off.
/// Text is set by Pango, in any script that an installed font has. Equal input gives equal bytes on one machine.
class Canvas {
 public:
  /// @throws std::bad_alloc  no memory, or a side above 32767
  Canvas(int64_t width, int64_t height, Colour background);
  explicit Canvas(const Picture& picture);
  Canvas(Canvas&&) noexcept;
  ~Canvas();

  int64_t width() const { return width_; }
  int64_t height() const { return height_; }

  /// @param factor  each pixel becomes a square of so many
  void picture(int64_t left, int64_t top, const Picture& picture, int64_t factor = 1);
  void rectangle(double left, double top, double width, double height, Colour colour);
  void line(double x0, double y0, double x1, double y1, double thickness, Colour colour);

  /// Text, in one line.
  struct Text {
    std::string text;  ///< UTF-8 from anywhere: control characters are shown escaped
    double size;       ///< of the font, in pixels
    Colour colour = {0.15, 0.15, 0.15};
    double most_width = 0;  ///< a longer text ends in an ellipsis there; 0: as long as it is
    bool bold = false;
  };
  struct Size {
    double width, height;
  };
  Size size_of(const Text& text) const;
  /// @param left,top  of the line's box; its height is size_of's
  void text(double left, double top, const Text& text);

  Picture to_picture() const;
  std::string png(const std::vector<PngText>& texts = {}) const;  ///< as encode_png

 private:
  struct Surface;
  int64_t width_, height_;
  std::unique_ptr<Surface> surface_;
};

/// @throws OutputError  no font is installed: text would be empty boxes. It names the package to install
void check_fonts();

}  // namespace steplapse
