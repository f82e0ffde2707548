#pragma once

#include <filesystem>

#include "steplapse/run_log.h"

namespace steplapse {

/// Writes run.json and steps.csv from a run's log. docs/run-folder.md has their keys and columns.
/// @throws OutputError  a file cannot be written
void write_tables(const RunLog& log, const std::filesystem::path& folder);

}  // namespace steplapse
