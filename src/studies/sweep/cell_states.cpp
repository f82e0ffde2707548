#include "studies/sweep/cell_states.h"

#include <utility>

#include "studies/sweep/cell_run.h"
#include "studies/sweep/sweep_rows.h"

namespace steplapse {
namespace {

bool is_in(const std::optional<Shard>& shard, size_t cell) { return !shard || shard->has(cell); }

}  // namespace

CellState state_of(const CellRow& row) {
  return row.is_made() ? CellState::made : row.status == "failed" ? CellState::failed : CellState::skipped;
}

CellStates::CellStates(const std::filesystem::path& sweep, const SweepPlan& plan)
    : sweep_(sweep), states_(plan.cells()), known_(plan.cells()) {
  each_row(sweep, sha256_of(plan), plan.cells(), [&](CellRow row) {
    auto& known = known_[row.cell];
    if (known && known->written > row.written) return;
    states_[row.cell] = state_of(row);
    known = {row.written, std::move(row.folder), std::move(row.final_sha256), std::move(row.reason)};
  });
}

size_t CellStates::count(CellState state, const std::optional<Shard>& shard) const {
  size_t cells = 0;
  for (size_t cell = 0; cell < states_.size(); ++cell) cells += states_[cell] == state && is_in(shard, cell);
  return cells;
}

std::vector<std::pair<size_t, std::string>> CellStates::check(const std::optional<Shard>& shard) {
  std::vector<std::pair<size_t, std::string>> faults;
  for (size_t cell = 0; cell < states_.size(); ++cell) {
    if (states_[cell] != CellState::made || !is_in(shard, cell)) continue;
    const Known& known = *known_[cell];
    const auto fault =
        fault_of({.cell = cell, .status = "done", .folder = known.folder, .final_sha256 = known.final_sha256}, sweep_);
    if (!fault) continue;
    states_[cell] = CellState::left;
    faults.emplace_back(cell, known.folder + ": " + *fault);
  }
  return faults;
}

void CellStates::retry_failed(const std::optional<Shard>& shard) {
  for (size_t cell = 0; cell < states_.size(); ++cell) {
    if (states_[cell] == CellState::failed && is_in(shard, cell)) states_[cell] = CellState::left;
  }
}

std::vector<FailedCell> CellStates::failed(const std::optional<Shard>& shard) const {
  std::vector<FailedCell> failed;
  for (size_t cell = 0; cell < states_.size(); ++cell) {
    if (states_[cell] == CellState::failed && is_in(shard, cell))
      failed.push_back({cell, known_[cell]->reason, known_[cell]->folder});
  }
  return failed;
}

void CellStates::note_failed(FailedCell failed) {
  states_[failed.cell] = CellState::failed;
  known_[failed.cell] = {0, std::move(failed.folder), "", std::move(failed.reason)};
}

std::vector<double> CellStates::times_written() const {
  std::vector<double> times;
  for (const auto& known : known_) {
    if (known) times.push_back(known->written);
  }
  return times;
}

}  // namespace steplapse
