#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace steplapse {

/// A line plot over two axes.
struct Plot {
  struct Axis {
    std::string label;
    bool log = false;
    std::vector<double> ticks = {};  ///< empty: round numbers are chosen
  };
  struct Series {
    std::string name;                 ///< for the legend, which a plot of several series has
    std::vector<double> x, y;         ///< of equal length
    std::vector<double> spread = {};  ///< half the height of each point's error bar, of x's length; empty: no bars
    bool dashed = false;              ///< with hollow dots
    bool ends = false;                ///< its first dot is hollow and large, its last one large
    bool guide = false;               ///< a grey line without dots, to compare the others with
  };
  std::string title;
  Axis x, y;
  /// A point that an axis cannot show is left out: one that is not finite, or not above 0 on a logarithmic axis.
  std::vector<Series> series;
};

/// The plots, one below the other, as the bytes of an SVG or PNG file. Equal input gives equal bytes.
/// @throws std::invalid_argument  the x, y and spread of a series differ in length, or a plot has no point to show
std::string svg_of(const std::vector<Plot>& plots);
std::string png_of(const std::vector<Plot>& plots);

/// Checks the name of a plot's file.
/// @throws UsageError  it does not end in .svg or .png
void check_plot_name(const std::filesystem::path& path);

/// Writes the plots as SVG or PNG, by the ending of the file's name.
/// @throws UsageError   another ending
/// @throws OutputError  the file cannot be written
void write_plots(const std::filesystem::path& path, const std::vector<Plot>& plots);

}  // namespace steplapse
