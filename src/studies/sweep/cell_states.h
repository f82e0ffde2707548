#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "studies/sweep/cell_row.h"
#include "studies/sweep/shard.h"
#include "studies/sweep/sweep_plan.h"
#include "studies/sweep/sweep_progress.h"

namespace steplapse {

enum class CellState : uint8_t { left, made, failed, skipped };
CellState state_of(const CellRow& row);

/// How far each cell of a sweep is, by the rows in its folder.
class CellStates {
 public:
  /// Reads all rows. @throws UsageError  as rows_in
  CellStates(const std::filesystem::path& sweep, const SweepPlan& plan);

  CellState operator[](size_t cell) const { return states_[cell]; }
  void set(size_t cell, CellState state) { states_[cell] = state; }
  size_t size() const { return states_.size(); }
  size_t count(CellState state, const std::optional<Shard>& shard) const;  ///< of a shard; none: of all

  /// Those whose files are not as their rows say are left to do again. @return their cells and why
  std::vector<std::pair<size_t, std::string>> check(const std::optional<Shard>& shard);
  void retry_failed(const std::optional<Shard>& shard);  ///< failed ones are left to do again

  /// The failed ones, with their reasons.
  std::vector<FailedCell> failed(const std::optional<Shard>& shard) const;
  void note_failed(FailedCell failed);

  std::vector<double> times_written() const;  ///< of the rows of all settled cells, by cell

 private:
  struct Known {
    double written;
    std::string folder, final_sha256, reason;
  };
  std::filesystem::path sweep_;
  std::vector<CellState> states_;
  std::vector<std::optional<Known>> known_;
};

}  // namespace steplapse
