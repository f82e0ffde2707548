#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace steplapse {

/// How far a run has come.
struct RunState {
  bool has_end = false;           ///< its log says how it ended, however that was
  bool is_being_written = false;  ///< by a program that runs now
  std::string text = {};          ///< for people: "done", "was cut off", "failed: No space left on device"
};

/// @param facts  RunLog::facts_json
RunState state_of(const std::filesystem::path& run_folder, const nlohmann::json& facts);

}  // namespace steplapse
