#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace steplapse {

/// A diagram as data: lines over two axes.
struct Plot {
  struct Axis {
    std::string label;
    bool log = false;
    std::vector<double> ticks = {};  ///< none: round numbers
  };
  struct Series {
    std::string name;  ///< into the legend, where there is more than one
    std::vector<double> x, y;
    std::vector<double> spread = {};  ///< half the height of each point's bar; none: no bars
    bool dashed = false;              ///< and its dots hollow
    bool guide = false;               ///< a line to read the others by: grey, without dots
  };
  std::string title;
  Axis x, y;
  std::vector<Series>
      series;  ///< a point that an axis can't show (not finite, 0 or less on a logarithmic one) is left out
};

/// Draws the plots below each other. Same input, same bytes.
/// @throws std::invalid_argument  a series whose x, y and spread differ in length, or a plot without a point that can be shown
std::string svg_of(const std::vector<Plot>& plots);
std::string png_of(const std::vector<Plot>& plots);

/// @throws UsageError  a name that does not end in .svg or .png
void check_plot_name(const std::filesystem::path& path);

/// Writes FILE.svg or FILE.png, by its ending.
/// @throws UsageError  another ending; OutputError  it can't be written
void write_plots(const std::filesystem::path& path, const std::vector<Plot>& plots);

}  // namespace steplapse
