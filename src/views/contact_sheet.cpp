#include "views/contact_sheet.h"

#include <cairo/cairo.h>

#include <algorithm>
#include <memory>
#include <new>

#include "base/png.h"
#include "base/text.h"

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

class Sheet {
 public:
  Sheet(int64_t width, int64_t height)
      : width_(width),
        height_(height),
        surface_(cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(width), static_cast<int>(height)),
                 cairo_surface_destroy),
        cairo_(cairo_create(surface_.get()), cairo_destroy) {
    if (cairo_status(cairo_.get()) != CAIRO_STATUS_SUCCESS) throw std::bad_alloc();
    cairo_set_source_rgb(cairo_.get(), 1, 1, 1);
    cairo_paint(cairo_.get());
    cairo_set_source_rgb(cairo_.get(), 0.15, 0.15, 0.15);
    cairo_select_font_face(cairo_.get(), "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  }

  void text(int64_t x, int64_t base, const std::string& text, double size, int64_t most_width) {
    cairo_save(cairo_.get());
    cairo_rectangle(cairo_.get(), static_cast<double>(x), static_cast<double>(base) - 2 * size,
                    static_cast<double>(most_width), 3 * size);
    cairo_clip(cairo_.get());
    cairo_set_font_size(cairo_.get(), size);
    cairo_move_to(cairo_.get(), static_cast<double>(x), static_cast<double>(base));
    cairo_show_text(cairo_.get(), escaped(text, 200).c_str());
    cairo_restore(cairo_.get());
  }

  void picture(int64_t left, int64_t top, const Picture& picture, int64_t factor) {
    cairo_surface_flush(surface_.get());
    for (int64_t y = 0; y < picture.height * factor; ++y) {
      uint32_t* const row = row_at(top + y);
      for (int64_t x = 0; x < picture.width * factor; ++x) {
        const uint8_t* const rgb = &picture.rgb[static_cast<size_t>((y / factor * picture.width + x / factor) * 3)];
        row[left + x] = static_cast<uint32_t>(rgb[0]) << 16 | static_cast<uint32_t>(rgb[1]) << 8 | rgb[2];
      }
    }
    cairo_surface_mark_dirty(surface_.get());
  }

  std::string png() {
    cairo_surface_flush(surface_.get());
    std::vector<uint8_t> rgb;
    rgb.reserve(static_cast<size_t>(width_ * height_ * 3));
    for (int64_t y = 0; y < height_; ++y) {
      const uint32_t* const row = row_at(y);
      for (int64_t x = 0; x < width_; ++x) {
        for (const int shift : {16, 8, 0}) rgb.push_back(static_cast<uint8_t>(row[x] >> shift));
      }
    }
    return encode_png(rgb, width_, height_, {});
  }

 private:
  uint32_t* row_at(int64_t y) {
    return reinterpret_cast<uint32_t*>(cairo_image_surface_get_data(surface_.get()) +
                                       y * cairo_image_surface_get_stride(surface_.get()));
  }

  int64_t width_, height_;
  std::unique_ptr<cairo_surface_t, decltype(&cairo_surface_destroy)> surface_;
  std::unique_ptr<cairo_t, decltype(&cairo_destroy)> cairo_;
};

}  // namespace

std::string contact_sheet(const std::vector<SheetRow>& rows) {
  const Layout layout = layout_of(rows);
  Sheet sheet(layout.width(), kGap + static_cast<int64_t>(rows.size()) * layout.row_height());
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t top = kGap + static_cast<int64_t>(i) * layout.row_height();
    sheet.text(kGap, top + kNameLine - 8, rows[i].name, kNameSize, layout.width() - 2 * kGap);
    int64_t left = kGap;
    for (const SheetCell& cell : rows[i].cells) {
      if (cell.picture) sheet.picture(left, top + kNameLine, *cell.picture, layout.factor);
      sheet.text(left, top + kNameLine + layout.cell_height + 14, cell.label, kLabelSize, layout.cell_width);
      left += layout.cell_width + kGap;
    }
  }
  return sheet.png();
}

}  // namespace steplapse
