#pragma once

#include <filesystem>
#include <string>

#include "studies/sweep/sweep_distances.h"

namespace steplapse {

/// Writes results.csv, results.jsonl and the grid's pages into a sweep's folder, from its plan, rows and runs. Processes that
/// end at one time wait for each other.
/// @return what to tell people of it: "" or one line, as why there is no grid
/// @throws OutputError  a file cannot be written
std::string write_sweep_results(const std::filesystem::path& sweep);
std::string write_sweep_results(const Sweep& sweep);  ///< of one that has been read

}  // namespace steplapse
