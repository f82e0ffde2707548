#include "views/plot.h"

#include <cairo/cairo.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "base/file_io.h"
#include "base/png.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr double kWidth = 720, kHeight = 360;  // of a plot, in pixels
constexpr double kLeft = 80, kRight = 20, kTop = 40, kBottom = 55;
constexpr double kLegend = 190, kLegendLine = 16;  // beside a plot of several series
constexpr double kEnd = 5;                         // radius of a dot that marks a line's end
constexpr double kTextSize = 12, kTitleSize = 15;

struct PlotColour {
  int red, green, blue;
};
constexpr PlotColour kInk{40, 40, 40}, kGuide{130, 130, 130}, kGrid{220, 220, 220};
// Okabe and Ito's colours, which people with any colour vision can distinguish.
constexpr std::array<PlotColour, 7> kColours{
    {{0, 114, 178}, {213, 94, 0}, {0, 158, 115}, {204, 121, 167}, {230, 159, 0}, {86, 180, 233}, {0, 0, 0}}};

struct Point {
  double x, y;
};
enum class Anchor { start, middle, end };
enum class Shape { circle, square, diamond };

/// The look of a series. Series differ in colour first; once the colours are used up, in shape.
struct Style {
  PlotColour colour;
  Shape shape;
  bool dashed;
};
Style style_of(const Plot::Series& series, size_t number) {
  const PlotColour colour = series.guide ? kGuide : kColours[number % kColours.size()];
  return {colour, static_cast<Shape>(number / kColours.size() % 3), series.dashed};
}

std::vector<Point> corners(Point centre, double radius, Shape shape) {
  const auto [x, y] = centre;
  if (shape == Shape::diamond)
    return {{x - 1.4 * radius, y}, {x, y - 1.4 * radius}, {x + 1.4 * radius, y}, {x, y + 1.4 * radius}};
  return {{x - radius, y - radius}, {x + radius, y - radius}, {x + radius, y + radius}, {x - radius, y + radius}};
}

// ---- canvases ---------------------------------------------------------------------------------------------------------

class PlotCanvas {
 public:
  virtual ~PlotCanvas() = default;
  virtual void line(const std::vector<Point>& points, PlotColour colour, double width, bool dashed = false) = 0;
  virtual void dot(Point centre, double radius, const Style& style) = 0;  ///< hollow in a dashed style
  virtual void text(Point base, const std::string& text, double size, Anchor anchor, bool upwards) = 0;
};

class SvgCanvas : public PlotCanvas {
 public:
  explicit SvgCanvas(double height) {
    out_ << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << kWidth << "\" height=\"" << height
         << "\" viewBox=\"0 0 " << kWidth << ' ' << height
         << "\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  }
  void line(const std::vector<Point>& points, PlotColour colour, double width, bool dashed) override {
    out_ << "<polyline fill=\"none\" stroke=\"" << name(colour) << "\" stroke-width=\"" << width << '"';
    if (dashed) out_ << " stroke-dasharray=\"5 4\"";
    put(points);
  }
  void dot(Point centre, double radius, const Style& style) override {
    const std::string look = style.dashed ? " fill=\"white\" stroke=\"" + name(style.colour) + "\" stroke-width=\"1.5\""
                                          : " fill=\"" + name(style.colour) + '"';
    if (style.shape == Shape::circle) {
      out_ << "<circle cx=\"" << centre.x << "\" cy=\"" << centre.y << "\" r=\"" << radius << '"' << look << "/>\n";
    } else {
      out_ << "<polygon" << look;
      put(corners(centre, radius, style.shape));
    }
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
  void put(const std::vector<Point>& points) {
    out_ << " points=\"";
    for (const Point& point : points) out_ << (&point == &points.front() ? "" : " ") << point.x << ',' << point.y;
    out_ << "\"/>\n";
  }
  static std::string name(PlotColour colour) {
    std::ostringstream text;
    text << "rgb(" << colour.red << ',' << colour.green << ',' << colour.blue << ')';
    return text.str();
  }
  /// Invisible characters are shown as their codes, as in messages.
  static std::string in_xml(const std::string& text) {
    std::string safe;
    for (const char character : escaped(text, 200)) {
      if (character == '&')
        safe += "&amp;";
      else if (character == '<')
        safe += "&lt;";
      else if (character == '>')
        safe += "&gt;";
      else
        safe += character;
    }
    return safe;
  }

  std::ostringstream out_;
};

class PngCanvas : public PlotCanvas {
 public:
  explicit PngCanvas(double height)
      : surface_(cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(kWidth), static_cast<int>(height)),
                 cairo_surface_destroy),
        cairo_(cairo_create(surface_.get()), cairo_destroy) {
    if (cairo_status(cairo_.get()) != CAIRO_STATUS_SUCCESS) throw std::bad_alloc();
    cairo_set_source_rgb(cairo_.get(), 1, 1, 1);
    cairo_paint(cairo_.get());
    cairo_select_font_face(cairo_.get(), "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  }
  void line(const std::vector<Point>& points, PlotColour colour, double width, bool dashed) override {
    constexpr double kDashes[] = {5, 4};
    set(colour);
    cairo_new_path(cairo_.get());  // a text before leaves a current point, from which the line would start
    for (const Point& point : points) cairo_line_to(cairo_.get(), point.x, point.y);
    cairo_set_line_width(cairo_.get(), width);
    cairo_set_dash(cairo_.get(), kDashes, dashed ? 2 : 0, 0);
    cairo_stroke(cairo_.get());
  }
  void dot(Point centre, double radius, const Style& style) override {
    cairo_new_path(cairo_.get());
    if (style.shape == Shape::circle) {
      cairo_arc(cairo_.get(), centre.x, centre.y, radius, 0, 2 * std::acos(-1));
    } else {
      for (const Point& point : corners(centre, radius, style.shape)) cairo_line_to(cairo_.get(), point.x, point.y);
      cairo_close_path(cairo_.get());
    }
    set(style.dashed ? PlotColour{255, 255, 255} : style.colour);
    cairo_fill_preserve(cairo_.get());
    set(style.colour);
    cairo_set_line_width(cairo_.get(), 1.5);
    cairo_set_dash(cairo_.get(), nullptr, 0, 0);
    if (style.dashed) cairo_stroke(cairo_.get());
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
    const int width = cairo_image_surface_get_width(surface_.get()),
              height = cairo_image_surface_get_height(surface_.get());
    const unsigned char* rows = cairo_image_surface_get_data(surface_.get());
    std::vector<uint8_t> pixels;
    for (int y = 0; y < height; ++y) {
      const auto* row = reinterpret_cast<const uint32_t*>(rows + static_cast<ptrdiff_t>(y) *
                                                                     cairo_image_surface_get_stride(surface_.get()));
      for (int x = 0; x < width; ++x) {
        for (const int shift : {16, 8, 0}) pixels.push_back(static_cast<uint8_t>(row[x] >> shift));
      }
    }
    return encode_png(pixels, width, height, {});
  }

 private:
  void set(PlotColour colour) {
    cairo_set_source_rgb(cairo_.get(), colour.red / 255.0, colour.green / 255.0, colour.blue / 255.0);
  }

  std::unique_ptr<cairo_surface_t, decltype(&cairo_surface_destroy)> surface_;
  std::unique_ptr<cairo_t, decltype(&cairo_destroy)> cairo_;
};

// ---- axes -------------------------------------------------------------------------------------------------------------

bool can_show(const Plot::Axis& axis, double value) { return std::isfinite(value) && (!axis.log || value > 0); }

/// The range of an axis: the place of each number on it, and its ticks.
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

  double lowest() const { return value(low_); }

  std::vector<double> ticks() const {
    return !log_ || high_ - low_ <= 1 ? even() : high_ - low_ <= 3 ? parts() : decades();
  }

 private:
  double place(double value) const { return log_ ? std::log10(value) : value; }
  double value(double place) const { return log_ ? std::pow(10, place) : place; }

  std::vector<double> decades() const {
    std::vector<double> ticks;
    const double step = std::max(1.0, std::ceil((high_ - low_) / 8));
    for (double decade = std::ceil(low_); decade <= high_; decade += step) ticks.push_back(std::pow(10, decade));
    return ticks;
  }
  /// 1, 2 and 5 times each power of 10.
  std::vector<double> parts() const {
    std::vector<double> ticks;
    for (double decade = std::floor(low_); decade <= high_; ++decade) {
      for (const double part : {1.0, 2.0, 5.0}) {
        const double tick = part * std::pow(10, decade);
        if (place(tick) >= low_ && place(tick) <= high_) ticks.push_back(tick);
      }
    }
    return ticks;
  }
  /// Some 4 to 9 round numbers: 1, 2 or 5 times a power of 10 apart.
  std::vector<double> even() const {
    const double low = value(low_), high = value(high_), rough = (high - low) / 5;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    const double step = power * (rough / power >= 5 ? 5 : rough / power >= 2 ? 2 : 1);
    std::vector<double> ticks;
    for (double i = std::ceil(low / step); i * step <= high; ++i) ticks.push_back(i * step + 0.0);  // never -0
    return ticks;
  }

  bool log_;
  double low_, high_;
};

void check_lengths(const Plot::Series& series) {
  const auto refuse = [&](size_t found, const char* what) {
    throw std::invalid_argument("series " + in_quotes(series.name) + " has " + std::to_string(series.x.size()) +
                                " x and " + std::to_string(found) + what);
  };
  if (series.x.size() != series.y.size()) refuse(series.y.size(), " y");
  if (!series.spread.empty() && series.spread.size() != series.x.size()) refuse(series.spread.size(), " spreads");
}

double spread_at(const Plot::Series& series, size_t i) { return series.spread.empty() ? 0 : series.spread[i]; }

/// The ranges of both axes: over all points that can be shown and the upper ends of their bars. The lower ends may be
/// at 0, which a logarithmic axis cannot show, so they are cut.
std::pair<Range, Range> ranges_of(const Plot& plot) {
  std::vector<double> x = plot.x.ticks, y = plot.y.ticks;
  bool found = false;
  for (const Plot::Series& series : plot.series) {
    check_lengths(series);
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (!can_show(plot.x, series.x[i]) || !can_show(plot.y, series.y[i])) continue;
      found = true;
      x.push_back(series.x[i]);
      y.push_back(series.y[i]);
      if (const double end = series.y[i] + spread_at(series, i); can_show(plot.y, end)) y.push_back(end);
    }
  }
  if (!found) throw std::invalid_argument("plot " + in_quotes(plot.title) + " has no point that its axes can show");
  const auto range = [](const Plot::Axis& axis, const std::vector<double>& values) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return Range(axis, *low, *high);
  };
  return {range(plot.x, x), range(plot.y, y)};
}

// ---- a plot -----------------------------------------------------------------------------------------------------------

bool has_legend(const Plot& plot) { return plot.series.size() > 1; }

double height_of(const Plot& plot) {
  return has_legend(plot) ? std::max(kHeight, kTop + kBottom + kLegendLine * static_cast<double>(plot.series.size()))
                          : kHeight;
}

/// The axes of a plot on the canvas, which turn numbers into places.
struct Axes {
  Range x, y;
  double left, right, upper, lower;

  double at_x(double value) const { return left + x.share(value) * (right - left); }
  double at_y(double value) const { return lower - y.share(value) * (lower - upper); }
};

void draw_axes(PlotCanvas& canvas, const Plot& plot, const Axes& axes) {
  for (const double tick : plot.x.ticks.empty() ? axes.x.ticks() : plot.x.ticks) {
    canvas.line({{axes.at_x(tick), axes.upper}, {axes.at_x(tick), axes.lower}}, kGrid, 1);
    canvas.text({axes.at_x(tick), axes.lower + 16}, plain(tick), kTextSize, Anchor::middle, false);
  }
  for (const double tick : plot.y.ticks.empty() ? axes.y.ticks() : plot.y.ticks) {
    canvas.line({{axes.left, axes.at_y(tick)}, {axes.right, axes.at_y(tick)}}, kGrid, 1);
    canvas.text({axes.left - 6, axes.at_y(tick) + 4}, plain(tick), kTextSize, Anchor::end, false);
  }
  const double middle = (axes.left + axes.right) / 2;
  canvas.line({{axes.left, axes.upper}, {axes.left, axes.lower}, {axes.right, axes.lower}}, kInk, 1);
  canvas.text({kWidth / 2, axes.upper - kTop + 24}, plot.title, kTitleSize, Anchor::middle, false);
  canvas.text({middle, axes.lower + 38}, plot.x.label, kTextSize, Anchor::middle, false);
  canvas.text({22, (axes.upper + axes.lower) / 2}, plot.y.label, kTextSize, Anchor::middle, true);
}

void draw_bar(PlotCanvas& canvas, const Axes& axes, double x, double y, double spread, PlotColour colour) {
  constexpr double kCap = 3;
  const double middle = axes.at_x(x), top = axes.at_y(y + spread),
               foot = axes.at_y(std::max(y - spread, axes.y.lowest()));
  canvas.line({{middle, top}, {middle, foot}}, colour, 0.7);
  canvas.line({{middle - kCap, top}, {middle + kCap, top}}, colour, 0.7);
  if (y - spread > axes.y.lowest()) canvas.line({{middle - kCap, foot}, {middle + kCap, foot}}, colour, 0.7);
}

void draw_series(PlotCanvas& canvas, const Plot& plot, const Plot::Series& series, const Style& style,
                 const Axes& axes) {
  std::vector<Point> points;
  for (size_t i = 0; i < series.x.size(); ++i) {
    if (!can_show(plot.x, series.x[i]) || !can_show(plot.y, series.y[i])) continue;
    points.push_back({axes.at_x(series.x[i]), axes.at_y(series.y[i])});
    if (spread_at(series, i) > 0) draw_bar(canvas, axes, series.x[i], series.y[i], series.spread[i], style.colour);
  }
  if (points.size() > 1) canvas.line(points, style.colour, 1.5, style.dashed);
  if (series.guide) return;
  for (const Point& point : points) canvas.dot(point, points.size() > 60 ? 1.2 : 2.5, style);
  if (!series.ends || points.empty()) return;
  canvas.dot(points.front(), kEnd, {style.colour, style.shape, true});
  canvas.dot(points.back(), kEnd, style);
}

void draw_legend(PlotCanvas& canvas, const Plot::Series& series, const Style& style, Point start) {
  canvas.line({start, {start.x + 24, start.y}}, style.colour, 1.5, style.dashed);
  if (!series.guide) canvas.dot({start.x + 12, start.y}, 2.5, style);
  canvas.text({start.x + 30, start.y + 4}, series.name, kTextSize, Anchor::start, false);
}

void draw(PlotCanvas& canvas, const Plot& plot, double top) {
  const auto [x, y] = ranges_of(plot);
  const double right = kWidth - (has_legend(plot) ? kLegend : kRight);
  const Axes axes{x, y, kLeft, right, top + kTop, top + height_of(plot) - kBottom};
  draw_axes(canvas, plot, axes);
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const Style style = style_of(plot.series[i], i);
    draw_series(canvas, plot, plot.series[i], style, axes);
    const double line = axes.upper + kLegendLine * (static_cast<double>(i) + 0.5);
    if (has_legend(plot)) draw_legend(canvas, plot.series[i], style, {right + 12, line});
  }
}

template <typename CanvasOf>
std::string drawn(const std::vector<Plot>& plots) {
  double height = 0;
  for (const Plot& plot : plots) height += height_of(plot);
  CanvasOf canvas(height);
  double top = 0;
  for (const Plot& plot : plots) {
    draw(canvas, plot, top);
    top += height_of(plot);
  }
  return canvas.finish();
}

}  // namespace

std::string svg_of(const std::vector<Plot>& plots) { return drawn<SvgCanvas>(plots); }
std::string png_of(const std::vector<Plot>& plots) { return drawn<PngCanvas>(plots); }

void check_plot_name(const std::filesystem::path& path) {
  if (path.extension() == ".svg" || path.extension() == ".png") return;
  throw UsageError(path.string() + ": expected a file's name that ends in .svg or .png");
}

void write_plots(const std::filesystem::path& path, const std::vector<Plot>& plots) {
  check_plot_name(path);
  write_whole(path, path.extension() == ".svg" ? svg_of(plots) : png_of(plots));
}

}  // namespace steplapse
