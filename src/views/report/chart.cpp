#include "views/report/chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/text.h"
#include "views/report/html.h"

namespace steplapse {
namespace {

// In the units of the SVG's view box.
constexpr double kWidth = 360, kHeight = 190, kLeft = 46, kRight = 352, kTop = 8, kBottom = 164;
constexpr size_t kColours = 8;     // the page's style has so many
constexpr size_t kLegend = 12;     // longer ones say nothing; the runs' list has the names
constexpr double kWideRange = 30;  // from here on a logarithmic scale shows more

/// From numbers to places.
struct Scale {
  double from, to;     // the numbers at both edges; of a logarithmic scale their logarithms
  double first, last;  // the places there
  bool log = false;

  double inside(double number) const { return log ? std::log(number) : number; }
  double place(double number) const { return first + (inside(number) - from) / (to - from) * (last - first); }
};

std::string coordinate(double place) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", place);
  return text;
}

std::vector<double> round_numbers(double from, double to) {
  const double rough = (to - from) / 4, power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= rough) step = factor * power;
  }
  std::vector<double> numbers;
  for (double i = std::ceil(from / step - 1e-9); i * step <= to + 1e-9 * step; ++i)
    numbers.push_back(i == 0 ? 0 : i * step);
  return numbers;
}

/// Powers of ten between both logarithms, with 2 and 5 times them where there are few.
std::vector<double> round_factors(double from, double to) {
  const double low = std::min(from, to), high = std::max(from, to);
  const bool few = high - low < 3 * std::log(10.0);
  std::vector<double> numbers;
  for (double power = std::floor(low / std::log(10.0)); power * std::log(10.0) <= high; ++power) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double number = factor * std::pow(10, power), log = std::log(number);
      if ((few || factor == 1) && log >= low - 1e-9 && log <= high + 1e-9) numbers.push_back(number);
    }
  }
  return numbers;
}

std::vector<double> ticks_of(const Scale& scale) {
  return scale.log ? round_factors(scale.from, scale.to) : round_numbers(scale.from, scale.to);
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;

  void add(double number) {
    if (!std::isfinite(number)) return;
    low = std::min(low, number);
    high = std::max(high, number);
  }
  bool is_empty() const { return low > high; }
};

Range range_of(const Chart& chart, std::vector<double> ChartSeries::* numbers) {
  Range range;
  for (const ChartSeries& series : chart.series) {
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (std::isfinite(series.y[i])) range.add((series.*numbers)[i]);
    }
  }
  return range;
}

Scale x_scale(const Chart& chart) {
  Range range = range_of(chart, &ChartSeries::x);
  if (chart.x == Chart::X::sigma)
    return {std::log(range.high), std::log(range.low) - (range.low == range.high), kLeft, kRight, true};
  if (range.low == range.high) range.high += 1;
  return {range.low, range.high, kLeft, kRight};
}

Scale y_scale(const Chart& chart) {
  Range range = range_of(chart, &ChartSeries::y);
  if (chart.log_y && range.low > 0 && range.high / range.low > kWideRange)
    return {std::log(range.low) - 0.1, std::log(range.high) + 0.1, kBottom, kTop, true};
  range.low = std::min(0.0, range.low);
  if (range.low == range.high) range.high += 1;
  return {range.low, range.high * 1.04, kBottom, kTop};
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + coordinate(x) + "\" y=\"" + coordinate(y) + "\" text-anchor=\"" + anchor + "\">" + html(text) +
         "</text>";
}

std::string line(const char* name, double x1, double y1, double x2, double y2) {
  return "<line class=\"" + std::string(name) + "\" x1=\"" + coordinate(x1) + "\" y1=\"" + coordinate(y1) + "\" x2=\"" +
         coordinate(x2) + "\" y2=\"" + coordinate(y2) + "\"/>";
}

std::string axes(const Chart& chart, const Scale& x, const Scale& y) {
  std::string svg;
  for (const double tick : ticks_of(y)) {
    svg += line("grid", kLeft, y.place(tick), kRight, y.place(tick));
    svg += text_at(kLeft - 5, y.place(tick) + 3.5, "end", plain(tick));
  }
  for (const double tick : ticks_of(x)) {
    if (chart.x == Chart::X::step && tick != std::round(tick)) continue;
    svg += line("tick", x.place(tick), kBottom, x.place(tick), kBottom + 4);
    svg += text_at(x.place(tick), kBottom + 15, "middle", plain(tick));
  }
  return svg + line("axis", kLeft, kBottom, kRight, kBottom);
}

/// A path with gaps where there is no number.
std::string path_of(const ChartSeries& series, const Scale& x, const Scale& y) {
  std::string path;
  bool is_open = false;
  for (size_t i = 0; i < series.x.size(); ++i) {
    const bool shows = std::isfinite(series.x[i]) && std::isfinite(series.y[i]);
    if (shows)
      path += (is_open ? "L" : "M") + coordinate(x.place(series.x[i])) + " " + coordinate(y.place(series.y[i]));
    is_open = shows;
  }
  return path;
}

size_t colour_of(const Chart& chart, size_t index) {
  if (chart.x == Chart::X::frequency) return 0;
  return chart.x == Chart::X::sigma ? chart.series[index].run % kColours : index % kColours;
}

/// Of a spectrum's lines, the later ones are stronger.
std::string strength_of(const Chart& chart, size_t index) {
  if (chart.x != Chart::X::frequency) return "";
  const double place = static_cast<double>(index + 1) / static_cast<double>(chart.series.size());
  return " stroke-opacity=\"" + coordinate(0.1 + 0.7 * place) + "\"";
}

std::string curves(const Chart& chart, const Scale& x, const Scale& y) {
  std::string svg;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const ChartSeries& series = chart.series[i];
    svg += "<path class=\"curve s" + std::to_string(colour_of(chart, i)) + "\" data-run=\"" +
           std::to_string(series.run) + "\" data-quantity=\"" + html(series.quantity) + "\" d=\"" +
           path_of(series, x, y) + "\"" + strength_of(chart, i) + "/>";
  }
  return svg;
}

std::string legend(const Chart& chart) {
  if (chart.x == Chart::X::frequency || chart.series.size() < 2 || chart.series.size() > kLegend) return "";
  std::string items;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    items += "<li class=\"s" + std::to_string(colour_of(chart, i)) + "\" data-run=\"" +
             std::to_string(chart.series[i].run) + "\">" + bdi(escaped(chart.series[i].name)) + "</li>";
  }
  return "<ul class=\"legend\">" + items + "</ul>";
}

const char* name_of(Chart::X x) {
  switch (x) {
    case Chart::X::step: return "step";
    case Chart::X::sigma: return "sigma / alpha";
    case Chart::X::frequency: return "cycles across the picture";
  }
  return "";
}

std::string svg_of_chart(const Chart& chart) {
  const Scale x = x_scale(chart), y = y_scale(chart);
  const std::string label = chart.title + ", " + chart.unit + ", over " + name_of(chart.x);
  return "<svg viewBox=\"0 0 " + coordinate(kWidth) + " " + coordinate(kHeight) + "\" role=\"img\" aria-label=\"" +
         html(label) + "\" data-left=\"" + coordinate(kLeft) + "\" data-right=\"" + coordinate(kRight) +
         "\" data-from=\"" + plain(x.from) + "\" data-to=\"" + plain(x.to) + "\">" + axes(chart, x, y) +
         curves(chart, x, y) + line("cursor", kRight, kTop, kRight, kBottom) +
         text_at((kLeft + kRight) / 2, kHeight - 1, "middle", name_of(chart.x)) + "</svg>";
}

}  // namespace

std::string chart_html(const Chart& chart) {
  if (range_of(chart, &ChartSeries::y).is_empty()) return "";
  const char* scale = chart.x == Chart::X::step ? "step" : chart.x == Chart::X::sigma ? "sigma" : "frequency";
  return "<figure class=\"chart\" id=\"" + chart.id + "\" data-x=\"" + scale + "\">\n<figcaption><b>" +
         html(chart.title) + "</b> <span class=\"unit\">" + html(chart.unit) + "</span></figcaption>\n" +
         svg_of_chart(chart) + legend(chart) + "\n<output class=\"reading\"></output>\n<p class=\"meaning\">" +
         html(chart.meaning) + "</p>\n</figure>\n";
}

}  // namespace steplapse
