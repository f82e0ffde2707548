#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "runs/task.h"
#include "studies/sweep/cell_row.h"

namespace steplapse {

/// The row of a cell whose run has ended as it should, from its run folder.
/// @param sweep   the sweep's folder
/// @param folder  the run's, absolute or as `sweep` is
/// @param shared_calls  as in the row; none: they are counted in the log
/// @throws Error  a file of the run is missing or damaged
CellRow row_of_run(size_t cell, const std::filesystem::path& sweep, const std::filesystem::path& folder,
                   std::optional<int64_t> shared_calls = {});

/// The row of a cell that could not be made. @param status  failed, skipped
CellRow row_without_run(size_t cell, const std::string& status, const std::string& reason, const std::string& folder);

/// What is not as a row says: "final.png is missing"; none where all is.
std::optional<std::string> fault_of(const CellRow& row, const std::filesystem::path& sweep);

/// How far a cell's run folder is.
enum class CellRun {
  absent,    ///< nothing that could be used: the run begins anew
  begun,     ///< its log goes some way
  complete,  ///< log and final picture are there
};

/// Looks at the folder that a task names, and where its log is that of this very run, gives the task what it has.
/// @param model_sha256  of the model that draws
/// @param repairs       the final picture is not believed, even where the log says that the run is over
CellRun look_at_run(Task& task, const std::string& model_sha256, bool repairs);

}  // namespace steplapse
