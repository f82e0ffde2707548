#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "studies/sweep/sweep_progress.h"

namespace steplapse {

/// A cell that a process is making now.
struct RunningCell {
  size_t cell;
  std::string folder;  ///< from the sweep's; "" where it is not there yet
  int64_t steps = 0;   ///< that its log has
};

/// How far a sweep is, as its folder tells: whoever makes it, and also when nobody does.
struct SweepState {
  std::filesystem::path out;
  size_t cells = 0, made = 0, skipped = 0;
  std::vector<FailedCell> failed = {};
  std::vector<RunningCell> running = {};
  std::optional<double> seconds_left =
      {};  ///< at the pace of the last cells; none where nobody works, or nothing is known
  std::optional<double> last_written = {};  ///< when a cell ended last, in seconds since 1970

  size_t left() const { return cells - made - skipped - failed.size() - running.size(); }
};

/// Changes nothing. @throws UsageError  the folder is no sweep's, or its rows are damaged
SweepState state_of_sweep(const std::filesystem::path& sweep);

std::string state_table(const SweepState& state);
nlohmann::ordered_json json_of(const SweepState& state);

}  // namespace steplapse
