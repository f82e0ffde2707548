#pragma once

#include <filesystem>
#include <optional>

#include "runs/options.h"
#include "studies/sweep/shard.h"
#include "studies/sweep/sweep_cells.h"
#include "studies/sweep/sweep_plan.h"

namespace steplapse {

struct SweepRunOptions {
  SweepPlan plan;
  ReadSetting read_setting;
  std::filesystem::path out;           ///< the sweep's folder
  std::optional<Shard> shard = {};     ///< none: all cells that nobody else has claimed
  std::filesystem::path scratch = {};  ///< where runs are made before they move to `out`; empty: there
  bool retry_failed = false;
  bool dry_run = false;
  bool json = false;  ///< what is said on stdout is JSON
  RunningOptions running;
};

/// Makes the cells that are missing in `out`, and the tables and pictures of them all.
/// @return 0; 1 where cells failed; 143 or 130 where a signal ended it
int run_sweep(const SweepRunOptions& options);

}  // namespace steplapse
