#pragma once

#include <string>
#include <vector>

#include "studies/sweep/sweep_summary.h"
#include "views/plot.h"

namespace steplapse {

/// The answers in a line each, then a table; text is folded to `columns`.
std::string summary_table(const SweepSummary& summary, size_t columns);
std::string summary_csv(const SweepSummary& summary);   ///< a row for each group and number of steps
std::string summary_json(const SweepSummary& summary);  ///< one object; docs/sweeps.md has the keys of both

/// PSNR over denoiser calls, a line for each group.
/// @throws UsageError  every picture is its own reference, or equal to it: there is nothing to draw
Plot summary_plot(const SweepSummary& summary);

}  // namespace steplapse
