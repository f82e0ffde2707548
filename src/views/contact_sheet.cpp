#include "views/contact_sheet.h"

#include <algorithm>

#include "views/canvas.h"

namespace steplapse {
namespace {

constexpr int64_t kLeastSide = 128, kGap = 8, kNameLine = 22, kLabelLine = 20;
constexpr double kNameSize = 13, kLabelSize = 11;

struct Layout {
  int64_t cell_width = 0, cell_height = 0, columns = 0, factor = 1;
  int64_t row_height() const { return kNameLine + cell_height + kLabelLine; }
  int64_t width() const { return kGap + columns * (cell_width + kGap); }
};

Layout layout_of(const std::vector<SheetRow>& rows) {
  Layout layout;
  for (const SheetRow& row : rows) {
    layout.columns = std::max(layout.columns, static_cast<int64_t>(row.cells.size()));
    for (const SheetCell& cell : row.cells) {
      if (!cell.picture) continue;
      layout.cell_width = std::max(layout.cell_width, cell.picture->width);
      layout.cell_height = std::max(layout.cell_height, cell.picture->height);
    }
  }
  if (layout.cell_width > 0) layout.factor = (kLeastSide + layout.cell_width - 1) / layout.cell_width;
  layout.cell_width = std::max(kLeastSide, layout.cell_width * layout.factor);
  layout.cell_height *= layout.factor;
  return layout;
}

}  // namespace

std::string contact_sheet(const std::vector<SheetRow>& rows) {
  const Layout layout = layout_of(rows);
  Canvas sheet(layout.width(), kGap + static_cast<int64_t>(rows.size()) * layout.row_height(), {1, 1, 1});
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t top = kGap + static_cast<int64_t>(i) * layout.row_height();
    const auto most = static_cast<double>(layout.width() - 2 * kGap);
    sheet.text(kGap, static_cast<double>(top), {.text = rows[i].name, .size = kNameSize, .most_width = most});
    int64_t left = kGap;
    for (const SheetCell& cell : rows[i].cells) {
      if (cell.picture) sheet.picture(left, top + kNameLine, *cell.picture, layout.factor);
      sheet.text(static_cast<double>(left), static_cast<double>(top + kNameLine + layout.cell_height + 2),
                 {.text = cell.label, .size = kLabelSize, .most_width = static_cast<double>(layout.cell_width)});
      left += layout.cell_width + kGap;
    }
  }
  return sheet.png();
}

}  // namespace steplapse
