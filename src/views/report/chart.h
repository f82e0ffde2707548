#pragma once

#include <optional>
#include <string>
#include <vector>

namespace steplapse {

/// A curve of a chart, over the chart's x.
struct ChartSeries {
  std::string name;       ///< for the legend; untrusted
  std::string quantity;   ///< the key of its numbers, as in the CSV
  size_t run = 0;         ///< which run's numbers these are
  std::vector<double> x;  ///< as the chart's scale has it
  std::vector<double> y;  ///< of x's length; what is not finite is a gap
};

/// A line chart of a page. Its colours are the page's, so that it is right in the dark and in the light.
struct Chart {
  /// What stands side by side.
  enum class X {
    step,       ///< the number of the step
    sigma,      ///< sigma / alpha, on a logarithmic scale that falls to the right, as a run goes
    frequency,  ///< cycles across the picture
  };
  std::string id;  ///< of its element
  std::string title;
  std::string unit;     ///< of y
  std::string meaning;  ///< one sentence
  X x = X::step;
  bool log_y = false;  ///< asked for; used where all numbers are above 0
  std::vector<ChartSeries> series = {};
};

/// The chart as a <figure>: title, unit, the curves as SVG, legend, meaning. "" where no series has a number.
///
/// The SVG says in data-from and data-to which x lies at its left and right edge (of sigma the natural logarithm), and has a
/// line of the class `cursor`, which stands at the right edge.
std::string chart_html(const Chart& chart);

}  // namespace steplapse
