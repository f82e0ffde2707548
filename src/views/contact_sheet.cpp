#include "views/contact_sheet.h"

#include <algorithm>
#include <cmath>

#include "views/canvas.h"
#include "views/sheet_text.h"

namespace steplapse {
namespace {

constexpr int64_t kLeastSide = 128, kMostSide = 256;
constexpr int64_t kBar = 5, kLabelLine = 20, kDetailLine = 15;
constexpr double kLabelSize = 11;
constexpr Colour kTrack{0.9, 0.9, 0.9}, kChange{0.84, 0.37, 0};

/// Where things lie: each row has a name, its pictures, and below them a bar, a label and a detail where some cell has one.
struct Layout {
  explicit Layout(const ContactSheet& sheet) {
    for (const SheetRow& row : sheet.rows) {
      columns = std::max(columns, std::ssize(row.cells));
      for (const SheetCell& cell : row.cells) {
        if (cell.change) bar = kBar;
        if (!cell.detail.empty()) detail_line = kDetailLine;
        if (!cell.picture) continue;
        cell_width = std::max(cell_width, cell.picture->width);
        cell_height = std::max(cell_height, cell.picture->height);
      }
    }
    widest = cell_width;
    tallest = cell_height;
    if (cell_width > 0) scale = sheet.scale.value_or(usual_scale(cell_width, kLeastSide, kMostSide));
    const auto scaled = [&](int64_t side) { return (side * scale.up + scale.down - 1) / scale.down; };
    cell_width = std::max(kLeastSide, scaled(cell_width));
    cell_height = scaled(cell_height);
  }

  int64_t below() const { return bar + kLabelLine + detail_line; }
  int64_t row_height() const { return kSheetNameLine + cell_height + below(); }
  int64_t width() const { return kSheetGap + columns * (cell_width + kSheetGap); }

  PictureScale scale;
  int64_t widest = 0, tallest = 0;  // picture
  int64_t cell_width = 0, cell_height = 0, columns = 1, bar = 0, detail_line = 0;
};

/// The scale of a picture: the sheet's for the largest, and for others one by whole factors that fills the same place.
PictureScale scale_of(const Picture& picture, const Layout& layout) {
  if (picture.width == layout.widest && picture.height == layout.tallest) return layout.scale;
  const int64_t up = std::min(layout.cell_width / picture.width, layout.cell_height / picture.height);
  const auto needed = [](int64_t side, int64_t room) { return (side + room - 1) / room; };
  if (up >= 1) return {.up = up};
  return {.down = std::max(needed(picture.width, layout.cell_width), needed(picture.height, layout.cell_height))};
}

void draw_picture(Canvas& canvas, const Layout& layout, const Picture& picture, int64_t left, int64_t top) {
  const auto [up, down] = scale_of(picture, layout);
  canvas.picture(left, top, down > 1 ? reduced(picture, down) : picture, up);
}

void draw_cell(Canvas& canvas, const Layout& layout, const SheetCell& cell, int64_t left, int64_t top) {
  if (cell.picture) draw_picture(canvas, layout, *cell.picture, left, top);
  auto below = static_cast<double>(top + layout.cell_height);
  const auto x = static_cast<double>(left), width = static_cast<double>(layout.cell_width);
  if (cell.change) {
    canvas.rectangle(x, below + 1, width, kBar - 1, kTrack);
    canvas.rectangle(x, below + 1, std::round(width * std::clamp(*cell.change, 0.0, 1.0)), kBar - 1, kChange);
  }
  below += static_cast<double>(layout.bar + 2);
  canvas.text(x, below, {.text = cell.label, .size = kLabelSize, .most_width = width});
  if (!cell.detail.empty())
    canvas.text(x, below + kDetailLine,
                {.text = cell.detail, .size = kLabelSize, .colour = kSheetFaint, .most_width = width});
}

void draw_row(Canvas& canvas, const Layout& layout, const SheetRow& row, int64_t top) {
  const auto most = static_cast<double>(canvas.width() - 2 * kSheetGap);
  canvas.text(kSheetGap, static_cast<double>(top), {.text = row.name, .size = kSheetNameSize, .most_width = most});
  int64_t left = kSheetGap;
  for (const SheetCell& cell : row.cells) {
    draw_cell(canvas, layout, cell, left, top + kSheetNameLine);
    left += layout.cell_width + kSheetGap;
  }
}

int64_t height_of(const ContactSheet& sheet, const Layout& layout) {
  return kSheetGap + std::ssize(sheet.rows) * layout.row_height();
}

}  // namespace

void check_size(const ContactSheet& sheet, const std::string& way_out) {
  const Layout layout(sheet);
  SheetText(sheet.title, sheet.about, sheet.notes, layout.width()).check_size(height_of(sheet, layout), way_out);
}

std::string png_of(const ContactSheet& sheet, const std::vector<PngText>& texts) {
  const Layout layout(sheet);
  const SheetText text(sheet.title, sheet.about, sheet.notes, layout.width());
  Canvas canvas = text.canvas(height_of(sheet, layout));
  int64_t top = kSheetGap + text.above();
  for (const SheetRow& row : sheet.rows) {
    draw_row(canvas, layout, row, top);
    top += layout.row_height();
  }
  return canvas.png(texts);
}

}  // namespace steplapse
