#pragma once

#include <filesystem>

namespace steplapse {

/// Writes results.csv, results.jsonl and the grid's pages into a sweep's folder, from its plan, rows and runs.
/// @throws OutputError  a file cannot be written
void write_sweep_results(const std::filesystem::path& sweep);

}  // namespace steplapse
