#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runs/progress.h"
#include "studies/sweep/cell_row.h"

namespace steplapse {

/// What a sweep is to do here, when it begins.
struct SweepStart {
  std::filesystem::path out;
  size_t cells = 0;                          ///< of the plan, or of this shard
  size_t made = 0, failed = 0, skipped = 0;  ///< of them, those that are settled
  int64_t steps = 0;                         ///< of the cells that are left, about
  std::string shard = {};                    ///< "shard 2/8"; "" without one
  std::vector<std::string> again = {};       ///< cells whose files were not as their rows say, and why
};

/// A cell that failed, now or before.
struct FailedCell {
  size_t cell;
  std::string reason, folder;
};

/// What a sweep came to here.
struct SweepEnd {
  std::filesystem::path out;
  size_t cells = 0;    ///< of the plan, or of this shard
  size_t made = 0;     ///< of them that are made, by whom ever
  size_t skipped = 0;  ///< that are invalid
  std::vector<FailedCell> failed = {};
  size_t elsewhere = 0;      ///< that other processes are making
  size_t left = 0;           ///< besides: a signal came
  size_t made_here = 0;      ///< by this process
  int64_t asked_calls = 0;   ///< answers that the network gave here
  int64_t shared_calls = 0;  ///< answers besides that cost nothing, since another cell had asked
  double seconds = 0;
  std::string shard = {};
  std::filesystem::path results = {};  ///< results.csv; empty where it was not written
};

/// Tells how a sweep goes. What runs tell, it hears as a Progress.
class SweepProgress : public Progress {
 public:
  virtual void begins(const SweepStart&) {}
  virtual void say_line(const std::string& /*line*/) {}    ///< for people
  virtual void taken(int64_t /*run*/, size_t /*cell*/) {}  ///< before anything else of the run
  virtual void settled(const CellRow&) {}                  ///< a cell that is made, failed or skipped
  virtual void made_elsewhere(size_t /*cells*/) {}         ///< those that are found to be
  virtual void ended(const SweepEnd&) {}

  /// What is done when all runs that were begun have ended; on a watchdog's thread, where a signal did not wait for them.
  std::function<void(const BatchSummary&)> when_runs_ended = {};
  void batch_done(const BatchSummary& summary) override {
    if (when_runs_ended) when_runs_ended(summary);
  }
};

/// @param json  what is said on stdout at the end is one object
std::unique_ptr<SweepProgress> make_sweep_progress(ProgressMode mode, bool json);

/// For scripts. Cells are numbered from 1 there, as run folders are.
nlohmann::ordered_json json_of(const SweepEnd& end);

/// 1:05 or 2:03:04.
std::string clock_text(double seconds);

}  // namespace steplapse
