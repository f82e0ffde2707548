#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "steplapse/noise_level.h"
#include "views/paths.h"
#include "views/plot.h"

namespace steplapse {

/// A run's x0, step by step, in the plane of all runs.
struct RunPath {
  std::filesystem::path folder;
  std::string prompt, about;       ///< about: how it was made, for people
  std::vector<NoiseLevel> levels;  ///< of its steps, from 1
  std::vector<Paths::Point> points;
};

struct RunPaths {
  std::vector<RunPath> runs;
  std::array<double, 2> shares;  ///< as Paths
};

/// @param runs  their folders, one or more
/// @throws UsageError  a run that is none; latents of another shape than the first's; more than kMostOfPaths steps together
/// @throws OutputError  a log is damaged
RunPaths paths_of_runs(const std::vector<std::filesystem::path>& runs);

/// In words and a table of at most this many columns.
std::string paths_table(const RunPaths& paths, size_t columns);
std::string paths_csv(const RunPaths& paths);   ///< a row for each run and step
std::string paths_json(const RunPaths& paths);  ///< one object
Plot paths_plot(const RunPaths& paths);

}  // namespace steplapse
