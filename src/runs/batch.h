#pragma once

#include "runs/options.h"

namespace steplapse {

/// Makes the runs: samples them together, and writes a run folder each. Of several, run k has the folder
/// OUT/000k-PROMPT-SEED, and one that fails leaves the others alone. What refused runs leave on disk: nothing.
///
/// @return the exit code: 0, or 130 / 143 for runs that a signal ended after some step; after the grace the process ends
/// @throws Error and what else the network or the disk throws; a run that had begun is then marked `failed`
int run_batch(const Options& options);

}  // namespace steplapse
