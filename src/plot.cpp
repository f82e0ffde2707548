#include "steplapse/plot.h"

#include <cairo/cairo.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "steplapse/error.h"
#include "steplapse/file_io.h"
#include "steplapse/png.h"
#include "steplapse/text.h"

namespace steplapse {
namespace {

constexpr double kWidth = 720, kHeight = 360;  // of a plot, in pixels
constexpr double kLeft = 80, kRight = 20, kTop = 40, kBottom = 55;
constexpr double kTextSize = 12, kTitleSize = 15;

struct Colour {
  int red, green, blue;
};
constexpr Colour kInk{40, 40, 40}, kGrid{220, 220, 220};
// Okabe and Ito's, which are told apart with any kind of colour vision.
constexpr std::array<Colour, 7> kColours{{{0, 114, 178}, {213, 94, 0}, {0, 158, 115}, {204, 121, 167}, {230, 159, 0}, {86, 180, 233}, {0, 0, 0}}};

struct Point {
  double x, y;
};
enum class Anchor { start, middle, end };

// ---- canvases ---------------------------------------------------------------------------------------------------------

class Canvas {
 public:
  virtual ~Canvas() = default;
  virtual void line(const std::vector<Point>& points, Colour colour, double width) = 0;
  virtual void dot(Point centre, double radius, Colour colour) = 0;
  virtual void text(Point base, const std::string& text, double size, Anchor anchor, bool upwards) = 0;
};

class SvgCanvas : public Canvas {
 public:
  explicit SvgCanvas(double height) {
    out_ << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << kWidth << "\" height=\"" << height << "\" viewBox=\"0 0 "
         << kWidth << ' ' << height << "\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  }
  void line(const std::vector<Point>& points, Colour colour, double width) override {
    out_ << "<polyline fill=\"none\" stroke=\"" << name(colour) << "\" stroke-width=\"" << width << "\" points=\"";
    for (const Point& point : points) out_ << (&point == &points.front() ? "" : " ") << point.x << ',' << point.y;
    out_ << "\"/>\n";
  }
  void dot(Point centre, double radius, Colour colour) override {
    out_ << "<circle cx=\"" << centre.x << "\" cy=\"" << centre.y << "\" r=\"" << radius << "\" fill=\"" << name(colour) << "\"/>\n";
  }
  void text(Point base, const std::string& text, double size, Anchor anchor, bool upwards) override {
    constexpr const char* kAnchors[] = {"start", "middle", "end"};
    out_ << "<text x=\"" << base.x << "\" y=\"" << base.y << "\" font-size=\"" << size << "\" fill=\"" << name(kInk)
         << "\" text-anchor=\"" << kAnchors[static_cast<int>(anchor)] << '"';
    if (upwards) out_ << " transform=\"rotate(-90 " << base.x << ' ' << base.y << ")\"";
    out_ << '>' << in_xml(text) << "</text>\n";
  }
  std::string finish() {
    out_ << "</svg>\n";
    return out_.str();
  }

 private:
  static std::string name(Colour colour) {
    std::ostringstream text;
    text << "rgb(" << colour.red << ',' << colour.green << ',' << colour.blue << ')';
    return text.str();
  }
  /// What is no visible character is shown as its code, as in messages.
  static std::string in_xml(const std::string& text) {
    std::string safe;
    for (const char character : escaped(text, 200)) {
      if (character == '&') safe += "&amp;";
      else if (character == '<') safe += "&lt;";
      else if (character == '>') safe += "&gt;";
      else safe += character;
    }
    return safe;
  }

  std::ostringstream out_;
};

class PngCanvas : public Canvas {
 public:
  explicit PngCanvas(double height)
      : surface_(cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(kWidth), static_cast<int>(height)), cairo_surface_destroy),
        cairo_(cairo_create(surface_.get()), cairo_destroy) {
    if (cairo_status(cairo_.get()) != CAIRO_STATUS_SUCCESS) throw std::bad_alloc();
    cairo_set_source_rgb(cairo_.get(), 1, 1, 1);
    cairo_paint(cairo_.get());
    cairo_select_font_face(cairo_.get(), "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  }
  void line(const std::vector<Point>& points, Colour colour, double width) override {
    set(colour);
    for (const Point& point : points) cairo_line_to(cairo_.get(), point.x, point.y);
    cairo_set_line_width(cairo_.get(), width);
    cairo_stroke(cairo_.get());
  }
  void dot(Point centre, double radius, Colour colour) override {
    set(colour);
    cairo_arc(cairo_.get(), centre.x, centre.y, radius, 0, 2 * std::acos(-1));
    cairo_fill(cairo_.get());
  }
  void text(Point base, const std::string& text, double size, Anchor anchor, bool upwards) override {
    const std::string shown = escaped(text, 200);
    set(kInk);
    cairo_set_font_size(cairo_.get(), size);
    cairo_text_extents_t extents;
    cairo_text_extents(cairo_.get(), shown.c_str(), &extents);
    const double shares[] = {0, 0.5, 1};
    cairo_save(cairo_.get());
    cairo_translate(cairo_.get(), base.x, base.y);
    if (upwards) cairo_rotate(cairo_.get(), -std::acos(-1) / 2);
    cairo_move_to(cairo_.get(), -shares[static_cast<int>(anchor)] * extents.x_advance, 0);
    cairo_show_text(cairo_.get(), shown.c_str());
    cairo_restore(cairo_.get());
  }
  std::string finish() {
    cairo_surface_flush(surface_.get());
    const int width = cairo_image_surface_get_width(surface_.get()), height = cairo_image_surface_get_height(surface_.get());
    const unsigned char* rows = cairo_image_surface_get_data(surface_.get());
    std::vector<uint8_t> pixels;
    for (int y = 0; y < height; ++y) {
      const auto* row = reinterpret_cast<const uint32_t*>(rows + static_cast<ptrdiff_t>(y) * cairo_image_surface_get_stride(surface_.get()));
      for (int x = 0; x < width; ++x) {
        for (const int shift : {16, 8, 0}) pixels.push_back(static_cast<uint8_t>(row[x] >> shift));
      }
    }
    return encode_png(pixels, width, height, {});
  }

 private:
  void set(Colour colour) { cairo_set_source_rgb(cairo_.get(), colour.red / 255.0, colour.green / 255.0, colour.blue / 255.0); }

  std::unique_ptr<cairo_surface_t, decltype(&cairo_surface_destroy)> surface_;
  std::unique_ptr<cairo_t, decltype(&cairo_destroy)> cairo_;
};

// ---- axes -------------------------------------------------------------------------------------------------------------

std::string plain(double number) {
  std::ostringstream text;
  text << number;
  return text.str();
}

bool can_show(const Plot::Axis& axis, double value) { return std::isfinite(value) && (!axis.log || value > 0); }

/// An axis over the numbers it has to show: where each comes, and where it has ticks.
class Range {
 public:
  Range(const Plot::Axis& axis, double low, double high) : log_(axis.log), low_(place(low)), high_(place(high)) {
    if (high_ - low_ < 1e-9 * std::max(1.0, std::abs(high_))) {
      low_ -= 0.5;
      high_ += 0.5;
    }
    const double room = 0.03 * (high_ - low_);
    low_ -= room;
    high_ += room;
  }
  double share(double value) const { return (place(value) - low_) / (high_ - low_); }

  std::vector<double> ticks() const { return log_ && high_ - low_ > 1 ? decades() : even(); }

 private:
  double place(double value) const { return log_ ? std::log10(value) : value; }
  double value(double place) const { return log_ ? std::pow(10, place) : place; }

  std::vector<double> decades() const {
    std::vector<double> ticks;
    const double step = std::max(1.0, std::ceil((high_ - low_) / 8));
    for (double decade = std::ceil(low_); decade <= high_; decade += step) ticks.push_back(std::pow(10, decade));
    return ticks;
  }
  /// Some 4 to 9 round numbers: 1, 2 or 5 times a power of 10 apart.
  std::vector<double> even() const {
    const double low = value(low_), high = value(high_), rough = (high - low) / 5;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    const double step = power * (rough / power >= 5 ? 5 : rough / power >= 2 ? 2 : 1);
    std::vector<double> ticks;
    for (double i = std::ceil(low / step); i * step <= high; ++i) ticks.push_back(i * step);
    return ticks;
  }

  bool log_;
  double low_, high_;
};

Range range_of(const Plot& plot, const Plot::Axis& axis, std::vector<double> Plot::Series::*numbers) {
  std::optional<double> low, high;
  for (const Plot::Series& series : plot.series) {
    if (series.x.size() != series.y.size()) {
      throw std::invalid_argument("series " + in_quotes(series.name) + " has " + std::to_string(series.x.size()) + " x and " +
                                  std::to_string(series.y.size()) + " y");
    }
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (!can_show(plot.x, series.x[i]) || !can_show(plot.y, series.y[i])) continue;
      const double number = (series.*numbers)[i];
      low = std::min(low.value_or(number), number);
      high = std::max(high.value_or(number), number);
    }
  }
  if (!low) throw std::invalid_argument("plot " + in_quotes(plot.title) + " has no point that its axes can show");
  return {axis, *low, *high};
}

// ---- a plot -----------------------------------------------------------------------------------------------------------

void draw(Canvas& canvas, const Plot& plot, double top) {
  const Range x = range_of(plot, plot.x, &Plot::Series::x), y = range_of(plot, plot.y, &Plot::Series::y);
  const double right = kWidth - kRight, upper = top + kTop, lower = top + kHeight - kBottom;
  const auto at_x = [&](double value) { return kLeft + x.share(value) * (right - kLeft); };
  const auto at_y = [&](double value) { return lower - y.share(value) * (lower - upper); };

  for (const double tick : x.ticks()) {
    canvas.line({{at_x(tick), upper}, {at_x(tick), lower}}, kGrid, 1);
    canvas.text({at_x(tick), lower + 16}, plain(tick), kTextSize, Anchor::middle, false);
  }
  for (const double tick : y.ticks()) {
    canvas.line({{kLeft, at_y(tick)}, {right, at_y(tick)}}, kGrid, 1);
    canvas.text({kLeft - 6, at_y(tick) + 4}, plain(tick), kTextSize, Anchor::end, false);
  }
  canvas.line({{kLeft, upper}, {kLeft, lower}, {right, lower}}, kInk, 1);
  canvas.text({(kLeft + right) / 2, top + 24}, plot.title, kTitleSize, Anchor::middle, false);
  canvas.text({(kLeft + right) / 2, lower + 38}, plot.x.label, kTextSize, Anchor::middle, false);
  canvas.text({22, (upper + lower) / 2}, plot.y.label, kTextSize, Anchor::middle, true);

  for (size_t i = 0; i < plot.series.size(); ++i) {
    const Plot::Series& series = plot.series[i];
    const Colour colour = kColours[i % kColours.size()];
    std::vector<Point> points;
    for (size_t k = 0; k < series.x.size(); ++k) {
      if (can_show(plot.x, series.x[k]) && can_show(plot.y, series.y[k])) points.push_back({at_x(series.x[k]), at_y(series.y[k])});
    }
    if (points.size() > 1) canvas.line(points, colour, 1.5);
    for (const Point& point : points) canvas.dot(point, points.size() > 60 ? 1.2 : 2.5, colour);
    if (plot.series.size() > 1) {
      const double line = upper + 14 + 16 * static_cast<double>(i);
      canvas.line({{right - 24, line - 4}, {right - 6, line - 4}}, colour, 2);
      canvas.text({right - 30, line}, series.name, kTextSize, Anchor::end, false);
    }
  }
}

template <typename CanvasOf>
std::string drawn(const std::vector<Plot>& plots) {
  CanvasOf canvas(kHeight * static_cast<double>(plots.size()));
  for (size_t i = 0; i < plots.size(); ++i) draw(canvas, plots[i], kHeight * static_cast<double>(i));
  return canvas.finish();
}

}  // namespace

std::string svg_of(const std::vector<Plot>& plots) { return drawn<SvgCanvas>(plots); }
std::string png_of(const std::vector<Plot>& plots) { return drawn<PngCanvas>(plots); }

void write_plots(const std::filesystem::path& path, const std::vector<Plot>& plots) {
  if (path.extension() == ".svg") return write_whole(path, svg_of(plots));
  if (path.extension() == ".png") return write_whole(path, png_of(plots));
  throw UsageError(path.string() + ": wanted a file's name that ends in .svg or .png");
}

}  // namespace steplapse
