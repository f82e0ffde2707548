#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runs/options.h"
#include "studies/comparison.h"

namespace steplapse {

/// The options of `steplapse compare`, each checked as far as it can be without the runs.
struct CompareOptions {
  std::vector<std::filesystem::path> runs;  ///< two or more; the others are compared with the first
  Alignment alignment = Alignment::sigma;
  double share = 0.1;                  ///< of the rms of a run's end: what counts as another place
  std::optional<double> max_distance;  ///< of the ends
  std::string decoder;                 ///< for pictures at each point; empty: the frames that are there
  std::filesystem::path csv, sheet;    ///< empty: not written
  bool overwrite = false;
  bool json = false;
  RunningOptions running;             ///< its model: empty where the user names none
  std::filesystem::path usual_model;  ///< is looked at where none is named
};

/// Compares runs, prints the result on stdout and writes the files that are asked for.
/// @return 0; 1 where a run's end is further from the first's than max_distance: in rms of latents, or of pixels (0 to
///         255) where their models differ
/// @throws UsageError  a run that is none, or of other latents than the first's; and what reading its log throws
int compare(const CompareOptions& options);

}  // namespace steplapse
