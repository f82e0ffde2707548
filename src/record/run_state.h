#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "record/facts.h"
#include "record/origin.h"

namespace steplapse {

/// What a run folder says of its run without a look at the answers.
struct RunState {
  std::filesystem::path folder;
  Facts facts = {};  ///< without the start
  Origin origin = {};
  int64_t log_version = 0;
  int64_t steps = 0;                          ///< that were made
  std::string ended = {}, ended_reason = {};  ///< as the log says; "" where it says nothing
  bool is_being_written = false;
  bool is_of_this_folder = true;  ///< false where run.lock names another run than the log's
  int64_t resumed = 0;            ///< how often it was gone on with

  bool has_end() const { return !ended.empty(); }
  std::string text() const;  ///< how it ended, for people: "done", "was cut off", "failed: No space left on device"
  bool is_over() const { return ended == "done" || ended == "stopped"; }
};

/// Changes nothing. @throws OutputError  the log can't be read
RunState state_of(const std::filesystem::path& run_folder);

}  // namespace steplapse
