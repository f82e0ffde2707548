#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "studies/sweep/cell_row.h"
#include "studies/sweep/shard.h"
#include "studies/sweep/sweep_plan.h"

namespace steplapse {

/// The last row of each cell of a sweep's folder, by cell; none where it has no row yet.
/// @throws UsageError  the folder is no sweep's, or its rows are of another plan
std::vector<std::optional<CellRow>> rows_in(const std::filesystem::path& sweep, const SweepPlan& plan);

/// The first line of each file in rows/: whose rows follow.
struct RowsHeader {
  std::optional<Shard> shard = {};  ///< none: of a process that took whatever cells were free
  std::string plan_sha256 = {};
};

/// The header of each file in rows/, by the file's name.
std::vector<std::pair<std::filesystem::path, RowsHeader>> row_files_in(const std::filesystem::path& sweep);

/// Visits all rows of a folder, file by file; of a cell there may be several. A last line that was cut off is left out.
/// @param plan_sha256  of the plan that they must be of
/// @throws UsageError  naming file and line: it is no row, or its file is of another plan
void each_row(const std::filesystem::path& sweep, const std::string& plan_sha256, size_t cells,
              const std::function<void(CellRow row)>& visit);

std::filesystem::path rows_folder(const std::filesystem::path& sweep);  ///< its rows/
std::filesystem::path plan_file(const std::filesystem::path& sweep);    ///< its plan.json
std::string rows_header(const RowsHeader& header);                      ///< as JSON, one line with its end

/// The plan in a sweep's folder. @throws UsageError  none is there
SweepPlan plan_in(const std::filesystem::path& sweep);

}  // namespace steplapse
