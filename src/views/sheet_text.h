#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "views/canvas.h"

namespace steplapse {

// What all sheets have alike, in pixels.
inline constexpr int64_t kSheetGap = 8, kSheetNameLine = 22;
inline constexpr double kSheetNameSize = 13;
inline constexpr Colour kSheetFaint{0.4, 0.4, 0.4};  // of what matters less

/// What stands above and below the pictures of a sheet: a title and a line about it, and notes, which are folded.
class SheetText {
 public:
  /// @param width  of the sheet in pixels; it becomes wider where a title or notes would be too narrow to read
  SheetText(const std::string& title, const std::string& about, const std::vector<std::string>& notes, int64_t width);

  int64_t width() const { return width_; }
  int64_t above() const { return above_; }  ///< the height that the title takes

  /// A white canvas with these texts, and room for pictures between them.
  /// @param height  of that room
  /// @throws UsageError  a side would be above 32,767 pixels
  Canvas canvas(int64_t height) const;

  /// Whether `canvas` can make it. @param way_out  what would make it smaller @throws UsageError  as `canvas`
  void check_size(int64_t height, const std::string& way_out) const;

 private:
  struct Line {
    Canvas::Text text;
    int64_t top;
    bool is_note;  ///< its top counts from the pictures' end
  };

  int64_t width_, above_ = 0, below_ = 0;
  std::vector<Line> lines_;
};

}  // namespace steplapse
