#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "steplapse/run_log.h"
#include "views/frames.h"

namespace steplapse {

/// Writes run.json and steps.csv from a run's log. docs/run-folder.md has their keys and columns.
/// @throws OutputError  a file cannot be written
void write_tables(const RunLog& log, const std::filesystem::path& folder);

/// The frame files of one kind in a run's folder, by step. @param facts  what facts_json() of its log says
std::map<int64_t, std::string> frame_files(const nlohmann::json& facts, FrameKind kind);

}  // namespace steplapse
