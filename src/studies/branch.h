#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan_branch.h"
#include "runs/options.h"
#include "views/frame_selection.h"

namespace steplapse {

/// The options of `steplapse branch`, each checked as far as it can be without the run.
struct BranchOptions {
  std::filesystem::path run;           ///< the run to go out from: its folder or its log
  std::vector<int64_t> at;             ///< the last steps that are as they were; empty: each that can be
  BranchSettings changes;              ///< after them
  std::vector<double> noise;           ///< amounts of fresh noise to begin with, a branch each; empty: none
  bool keep_variance = false;          ///< mixes the noise in place of adding it
  std::optional<uint64_t> noise_seed;  ///< none: the run's seed + 1
  std::optional<std::array<int64_t, 4>>
      region;  ///< x, y, width, height in pixels: where the noise goes; none: everywhere
  FrameSelection frames;
  std::string decoder = "full";
  std::filesystem::path out;  ///< the branch's folder, or that of several branches' folders; empty: a DefaultFolder
  bool dry_run = false, overwrite = false;
  RunningOptions running;             ///< its model: empty where the user names none
  std::filesystem::path usual_model;  ///< is looked at where none is named; empty: nowhere
};

/// Makes the branches, which share denoiser calls, and says how far each ends from the run. Of several, the folder gets
/// branches.csv, branch-steps.csv and branches.svg.
/// @return, @throws  as run_batch
int branch(const BranchOptions& options);

}  // namespace steplapse
