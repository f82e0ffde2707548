#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "studies/sweep/cell_row.h"
#include "studies/sweep/sweep_plan.h"

namespace steplapse {

/// The last row of each cell of a sweep's folder, by cell; none where it has no row yet.
/// @throws UsageError  the folder is no sweep's, or its rows are of another plan
std::vector<std::optional<CellRow>> rows_in(const std::filesystem::path& sweep, const SweepPlan& plan);

/// The plan in a sweep's folder. @throws UsageError  none is there
SweepPlan plan_in(const std::filesystem::path& sweep);

}  // namespace steplapse
