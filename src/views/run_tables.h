#pragma once

#include <filesystem>

#include "steplapse/run_log.h"

namespace steplapse {

/// Writes run.json and steps.csv from the log: docs/run-folder.md has their keys and columns.
void write_tables(const RunLog& log, const std::filesystem::path& folder);

}  // namespace steplapse
