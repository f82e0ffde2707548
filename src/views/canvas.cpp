#include "views/canvas.h"

#include <pango/pangocairo.h>

#include <algorithm>
#include <new>

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr int64_t kLargestSide = 32767;  // of a cairo surface
constexpr size_t kLongestText = 1000;

using Layout = std::unique_ptr<PangoLayout, decltype(&g_object_unref)>;

void set_colour(cairo_t* cairo, const Colour& colour) {
  cairo_set_source_rgba(cairo, colour.red, colour.green, colour.blue, colour.alpha);
}

Layout layout_of(cairo_t* cairo, const Canvas::Text& text) {
  Layout layout(pango_cairo_create_layout(cairo), g_object_unref);
  // Pixels are pixels, whatever screen is here; and no hinting or subpixels from the desktop's settings.
  PangoContext* const context = pango_layout_get_context(layout.get());
  pango_cairo_context_set_resolution(context, 72);
  const std::unique_ptr<cairo_font_options_t, decltype(&cairo_font_options_destroy)> options(
      cairo_font_options_create(), cairo_font_options_destroy);
  cairo_font_options_set_antialias(options.get(), CAIRO_ANTIALIAS_GRAY);
  cairo_font_options_set_hint_style(options.get(), CAIRO_HINT_STYLE_NONE);
  cairo_font_options_set_hint_metrics(options.get(), CAIRO_HINT_METRICS_OFF);
  pango_cairo_context_set_font_options(context, options.get());

  const std::unique_ptr<PangoFontDescription, decltype(&pango_font_description_free)> font(
      pango_font_description_from_string("sans-serif"), pango_font_description_free);
  pango_font_description_set_absolute_size(font.get(), text.size * PANGO_SCALE);
  if (text.bold) pango_font_description_set_weight(font.get(), PANGO_WEIGHT_BOLD);
  pango_layout_set_font_description(layout.get(), font.get());
  pango_layout_set_single_paragraph_mode(layout.get(), TRUE);
  if (text.most_width > 0) {
    pango_layout_set_width(layout.get(), static_cast<int>(text.most_width * PANGO_SCALE));
    pango_layout_set_ellipsize(layout.get(), PANGO_ELLIPSIZE_END);
  }
  const std::string shown = escaped(text.text, kLongestText);
  pango_layout_set_text(layout.get(), shown.data(), static_cast<int>(shown.size()));
  return layout;
}

}  // namespace

struct Canvas::Surface {
  std::unique_ptr<cairo_surface_t, decltype(&cairo_surface_destroy)> surface;
  std::unique_ptr<cairo_t, decltype(&cairo_destroy)> cairo;

  uint32_t* row(int64_t y) const {
    return reinterpret_cast<uint32_t*>(cairo_image_surface_get_data(surface.get()) +
                                       y * cairo_image_surface_get_stride(surface.get()));
  }
};

Canvas::Canvas(int64_t width, int64_t height, Colour background) : width_(width), height_(height) {
  if (width < 1 || height < 1 || width > kLargestSide || height > kLargestSide) throw std::bad_alloc();
  cairo_surface_t* const surface =
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(width), static_cast<int>(height));
  surface_ =
      std::make_unique<Surface>(Surface{{surface, cairo_surface_destroy}, {cairo_create(surface), cairo_destroy}});
  if (cairo_status(surface_->cairo.get()) != CAIRO_STATUS_SUCCESS) throw std::bad_alloc();
  set_colour(surface_->cairo.get(), background);
  cairo_paint(surface_->cairo.get());
}

Canvas::Canvas(const Picture& shown) : Canvas(shown.width, shown.height, {0, 0, 0}) { picture(0, 0, shown); }

Canvas::Canvas(Canvas&&) noexcept = default;
Canvas::~Canvas() = default;

void Canvas::picture(int64_t left, int64_t top, const Picture& picture, int64_t factor) {
  cairo_surface_flush(surface_->surface.get());
  const int64_t bottom = std::min(height_, top + picture.height * factor);
  const int64_t right = std::min(width_, left + picture.width * factor);
  for (int64_t y = std::max<int64_t>(0, top); y < bottom; ++y) {
    uint32_t* const row = surface_->row(y);
    for (int64_t x = std::max<int64_t>(0, left); x < right; ++x) {
      const int64_t pixel = (y - top) / factor * picture.width + (x - left) / factor;
      const uint8_t* const rgb = &picture.rgb[static_cast<size_t>(pixel * 3)];
      row[x] = static_cast<uint32_t>(rgb[0]) << 16 | static_cast<uint32_t>(rgb[1]) << 8 | rgb[2];
    }
  }
  cairo_surface_mark_dirty(surface_->surface.get());
}

void Canvas::rectangle(double left, double top, double width, double height, Colour colour) {
  cairo_t* const cairo = surface_->cairo.get();
  set_colour(cairo, colour);
  cairo_rectangle(cairo, left, top, width, height);
  cairo_fill(cairo);
}

void Canvas::line(double x0, double y0, double x1, double y1, double thickness, Colour colour) {
  cairo_t* const cairo = surface_->cairo.get();
  set_colour(cairo, colour);
  cairo_set_line_width(cairo, thickness);
  cairo_move_to(cairo, x0, y0);
  cairo_line_to(cairo, x1, y1);
  cairo_stroke(cairo);
}

Canvas::Size Canvas::size_of(const Text& text) const {
  const Layout layout = layout_of(surface_->cairo.get(), text);
  int width = 0, height = 0;
  pango_layout_get_size(layout.get(), &width, &height);
  return {static_cast<double>(width) / PANGO_SCALE, static_cast<double>(height) / PANGO_SCALE};
}

void Canvas::text(double left, double top, const Text& text) {
  cairo_t* const cairo = surface_->cairo.get();
  const Layout layout = layout_of(cairo, text);
  set_colour(cairo, text.colour);
  cairo_move_to(cairo, left, top);
  pango_cairo_show_layout(cairo, layout.get());
}

Picture Canvas::to_picture() const {
  cairo_surface_flush(surface_->surface.get());
  Picture picture{width_, height_, {}};
  picture.rgb.reserve(static_cast<size_t>(width_ * height_ * 3));
  for (int64_t y = 0; y < height_; ++y) {
    const uint32_t* const row = surface_->row(y);
    for (int64_t x = 0; x < width_; ++x) {
      for (const int shift : {16, 8, 0}) picture.rgb.push_back(static_cast<uint8_t>(row[x] >> shift));
    }
  }
  return picture;
}

std::string Canvas::png(const std::vector<PngText>& texts) const {
  return encode_png(to_picture().rgb, width_, height_, texts);
}

void check_fonts() {
  // Pango lists its own names for families, as Sans, whatever is installed; only a font that can be loaded is one.
  PangoFontMap* const map = pango_cairo_font_map_get_default();
  const std::unique_ptr<PangoContext, decltype(&g_object_unref)> context(pango_font_map_create_context(map),
                                                                         g_object_unref);
  const std::unique_ptr<PangoFontDescription, decltype(&pango_font_description_free)> any(
      pango_font_description_from_string("sans-serif 12"), pango_font_description_free);
  const std::unique_ptr<PangoFont, void (*)(PangoFont*)> font(pango_font_map_load_font(map, context.get(), any.get()),
                                                              [](PangoFont* loaded) {
                                                                if (loaded) g_object_unref(loaded);
                                                              });
  if (!font)
    throw OutputError("no font is installed, so nothing can be written into pictures; install fonts-dejavu-core");
}

}  // namespace steplapse
