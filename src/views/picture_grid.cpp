#include "views/picture_grid.h"

#include <algorithm>
#include <cmath>

#include "steplapse/error.h"
#include "views/canvas.h"
#include "views/contact_sheet.h"
#include "views/sheet_text.h"

namespace steplapse {
namespace {

constexpr int64_t kGridLeastSide = 128, kGridMostSide = 256;  // of the largest picture, by itself
constexpr int64_t kLeastColumn = 24, kMostPixelsOfGrid = 1 << 28, kMostGridSide = 32767;
constexpr double kGridLabelSize = 12, kInsteadSize = 11, kMostRowLabel = 220;
constexpr Colour kMissing{0.93, 0.93, 0.93};

PictureScale scale_into(int64_t width, int64_t height, int64_t room_width, int64_t room_height) {
  const int64_t up = std::min(room_width / width, room_height / height);
  if (up >= 1) return {.up = up};
  const auto needed = [](int64_t side, int64_t room) { return (side + room - 1) / room; };
  return {.down = std::max(needed(width, room_width), needed(height, room_height))};
}

Canvas::Text label_text(const std::string& text, double most, bool is_faint = false) {
  return {.text = text,
          .size = kGridLabelSize,
          .colour = is_faint ? kSheetFaint : Colour{0.15, 0.15, 0.15},
          .most_width = most};
}

/// Where things lie: the rows' labels to the left, the columns' above, and the pictures.
struct GridPlaces {
  explicit GridPlaces(const PictureGrid& grid) {
    const PictureScale scale = grid.cell_size ? scale_into(grid.width, grid.height, *grid.cell_size, *grid.cell_size)
                                              : usual_scale(grid.width, kGridLeastSide, kGridMostSide);
    const auto scaled = [&](int64_t side) { return (side * scale.up + scale.down - 1) / scale.down; };
    picture_width = scaled(grid.width);
    picture_height = scaled(grid.height);
    column_width = std::max(kLeastColumn, picture_width);
    const Canvas ruler(1, 1, {1, 1, 1});
    const auto widen = [&](const std::string& text) {
      if (!text.empty()) left = std::max(left, std::ceil(ruler.size_of(label_text(text, kMostRowLabel)).width));
    };
    widen(grid.row_name);
    for (const std::string& row : grid.rows) widen(row);
    const bool has_labels =
        std::any_of(grid.columns.begin(), grid.columns.end(), [](auto& text) { return !text.empty(); });
    above =
        (has_labels ? kSheetNameLine : 0) + (grid.column_name.empty() && grid.row_name.empty() ? 0 : kSheetNameLine);
  }

  int64_t first_column() const { return kSheetGap + static_cast<int64_t>(left) + (left > 0 ? kSheetGap : 0); }
  int64_t x(size_t column) const { return first_column() + static_cast<int64_t>(column) * (column_width + kSheetGap); }
  int64_t y(size_t row) const { return above + static_cast<int64_t>(row) * (picture_height + kSheetGap); }

  int64_t picture_width, picture_height, column_width, above;
  double left = 0;
};

void check_grid_size(int64_t width, int64_t height) {
  if (width <= kMostGridSide && height <= kMostGridSide && width * height <= kMostPixelsOfGrid) return;
  throw UsageError("a page of the grid would be " + std::to_string(width) + " x " + std::to_string(height) +
                   " pixels; at most " + std::to_string(kMostGridSide) + " a side and " +
                   std::to_string(kMostPixelsOfGrid) +
                   " in all can be drawn; choose a smaller `cell_size`, or axes of fewer points as `x` and `y`");
}

void draw_labels(Canvas& canvas, const PictureGrid& grid, const GridPlaces& places, int64_t top) {
  const auto y = static_cast<double>(top);
  const auto first = static_cast<double>(places.first_column());
  const bool has_names = !grid.column_name.empty() || !grid.row_name.empty();
  if (!grid.row_name.empty())
    canvas.text(kSheetGap, y + static_cast<double>(places.above - kSheetNameLine),
                label_text(grid.row_name, kMostRowLabel, true));
  if (!grid.column_name.empty())
    canvas.text(first, y, label_text(grid.column_name, static_cast<double>(canvas.width()) - first, true));
  for (size_t i = 0; i < grid.columns.size(); ++i)
    canvas.text(static_cast<double>(places.x(i)), y + static_cast<double>(has_names ? kSheetNameLine : 0),
                label_text(grid.columns[i], static_cast<double>(places.column_width)));
  for (size_t i = 0; i < grid.rows.size(); ++i) {
    const Canvas::Text text = label_text(grid.rows[i], kMostRowLabel);
    const double room = static_cast<double>(places.picture_height) - canvas.size_of(text).height;
    canvas.text(kSheetGap, y + static_cast<double>(places.y(i)) + std::max(0.0, room / 2), text);
  }
}

void draw_grid_cell(Canvas& canvas, const GridPlaces& places, const GridCell& cell, int64_t left, int64_t top) {
  if (cell.picture) {
    const Picture& picture = *cell.picture;
    const auto [up, down] = scale_into(picture.width, picture.height, places.picture_width, places.picture_height);
    canvas.picture(left, top, down > 1 ? reduced(picture, down) : picture, up);
    return;
  }
  const auto x = static_cast<double>(left), y = static_cast<double>(top);
  const auto width = static_cast<double>(places.column_width), height = static_cast<double>(places.picture_height);
  canvas.rectangle(x, y, width, height, kMissing);
  const double inside = std::max(1.0, width - 8), middle = y + height / 2;
  const auto line = [&](double at, const std::string& text) {
    canvas.text(x + 4, at, {.text = text, .size = kInsteadSize, .colour = kSheetFaint, .most_width = inside});
  };
  line(middle - (cell.detail.empty() ? 7 : 15), cell.instead);
  if (!cell.detail.empty()) line(middle, cell.detail);
}

}  // namespace

std::string png_of(const PictureGrid& grid, const std::vector<PngText>& texts) {
  const GridPlaces places(grid);
  const SheetText text(grid.title, grid.about, grid.notes, places.x(grid.columns.size()));
  const int64_t height = kSheetGap + places.y(grid.rows.size());
  check_grid_size(text.width(), text.above() + height);
  Canvas canvas = text.canvas(height);
  const int64_t top = kSheetGap + text.above();
  draw_labels(canvas, grid, places, top);
  for (size_t row = 0; row < grid.rows.size(); ++row) {
    for (size_t column = 0; column < grid.columns.size(); ++column)
      draw_grid_cell(canvas, places, grid.cell(row, column), places.x(column), top + places.y(row));
  }
  return canvas.png(texts);
}

}  // namespace steplapse
