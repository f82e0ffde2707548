#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/number_text.h"
#include "base/text.h"
#include "studies/run_paths.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

constexpr int kRunWidth = 4, kStepsWidth = 7, kPointWidth = 18, kLengthWidth = 10;

double distance(const Paths::Point& a, const Paths::Point& b) { return std::hypot(a[0] - b[0], a[1] - b[1]); }

double length_of(const std::vector<Paths::Point>& points) {
  double length = 0;
  for (size_t i = 1; i < points.size(); ++i) length += distance(points[i - 1], points[i]);
  return length;
}

std::string percent(double share) { return fixed_text(100 * share, 1) + " %"; }

std::string place_text(const Paths::Point& point) { return fixed_text(point[0], 3) + ", " + fixed_text(point[1], 3); }

std::string shares_text(const RunPaths& paths) { return percent(paths.shares[0]) + " and " + percent(paths.shares[1]); }

std::string table(const RunPaths& paths) {
  std::ostringstream out;
  out << std::setw(kRunWidth) << "run" << std::setw(kStepsWidth) << "steps" << std::setw(kPointWidth) << "first step at"
      << std::setw(kPointWidth) << "last step at" << std::setw(kLengthWidth) << "path" << std::setw(kLengthWidth)
      << "straight" << '\n';
  for (size_t i = 0; i < paths.runs.size(); ++i) {
    const auto& points = paths.runs[i].points;
    out << std::setw(kRunWidth) << i + 1 << std::setw(kStepsWidth) << points.size() << std::setw(kPointWidth)
        << place_text(points.front()) << std::setw(kPointWidth) << place_text(points.back()) << std::setw(kLengthWidth)
        << fixed_text(length_of(points), 3) << std::setw(kLengthWidth)
        << fixed_text(distance(points.front(), points.back()), 3) << '\n';
  }
  return out.str();
}

ordered_json json_of(const RunPath& run) {
  ordered_json steps = ordered_json::array();
  for (size_t i = 0; i < run.points.size(); ++i) {
    const NoiseLevel& level = run.levels[i];
    steps.push_back({{"step", i + 1},
                     {"timestep", level.timestep ? ordered_json(*level.timestep) : ordered_json()},
                     {"alpha", level.alpha},
                     {"sigma", level.sigma},
                     {"first", run.points[i][0]},
                     {"second", run.points[i][1]}});
  }
  return {{"folder", run.folder.string()}, {"prompt", run.prompt}, {"steps", steps}};
}

}  // namespace

std::string paths_table(const RunPaths& paths, size_t columns) {
  std::string text;
  for (size_t i = 0; i < paths.runs.size(); ++i) {
    const RunPath& run = paths.runs[i];
    text += std::to_string(i + 1) + "  " + escaped(run.folder.string(), 200) + ": " + in_quotes(run.prompt) + ", " +
            escaped(run.about, 200) + "\n";
  }
  text += "\n" + table(paths) + "\n";
  return text +
         wrapped(
             "Where x0 went, in the plane in which the latents of all these steps are spread the widest: along their "
             "first "
             "two principal components, which carry " +
                 shares_text(paths) +
                 " of the variance. Lengths are rms in latent units; the mean of all lies at 0, 0. path: its length in "
                 "this plane, step by step; straight: from the first step to the last.",
             columns) +
         "\n";
}

std::string paths_csv(const RunPaths& paths) {
  std::ostringstream out;
  out << "run,step,timestep,alpha,sigma,first,second\n";
  for (size_t i = 0; i < paths.runs.size(); ++i) {
    const RunPath& run = paths.runs[i];
    for (size_t step = 0; step < run.points.size(); ++step) {
      const NoiseLevel& level = run.levels[step];
      out << i + 1 << ',' << step + 1 << ',' << exact_text(level.timestep) << ',' << exact_text(level.alpha) << ','
          << exact_text(level.sigma) << ',' << exact_text(run.points[step][0]) << ',' << exact_text(run.points[step][1])
          << '\n';
    }
  }
  return out.str();
}

std::string paths_json(const RunPaths& paths) {
  ordered_json runs = ordered_json::array();
  for (const RunPath& run : paths.runs) runs.push_back(json_of(run));
  const ordered_json json{{"shares_of_variance", paths.shares}, {"runs", runs}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Plot paths_plot(const RunPaths& paths) {
  Plot plot{.title = "Paths of x0 (hollow: the first step, large: the last)",
            .x = {.label = "first component, " + percent(paths.shares[0]) + " of the variance"},
            .y = {.label = "second component, " + percent(paths.shares[1])},
            .series = {}};
  for (size_t i = 0; i < paths.runs.size(); ++i) {
    const RunPath& run = paths.runs[i];
    Plot::Series series{.name = std::to_string(i + 1) + "  " + escaped(run.folder.filename().string(), 22),
                        .x = {},
                        .y = {},
                        .ends = true};
    for (const auto& [first, second] : run.points) {
      series.x.push_back(first);
      series.y.push_back(second);
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

}  // namespace steplapse
