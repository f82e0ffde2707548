#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runs/task_source.h"
#include "studies/sweep/cell_claims.h"
#include "studies/sweep/cell_order.h"
#include "studies/sweep/cell_states.h"
#include "studies/sweep/row_writer.h"
#include "studies/sweep/scratch.h"
#include "studies/sweep/sweep_progress.h"
#include "studies/sweep/sweep_run.h"

namespace steplapse {

/// What a sweep's cells are taken from, and where what becomes of them goes. All must outlive the source.
struct SweepPlaces {
  const SweepRunOptions& options;
  const SweepCells& cells;
  const std::string& model_sha256;
  CellStates& states;
  const std::set<size_t>& faulty;  ///< cells whose files were not as their rows said
  CellClaims& claims;
  RowWriter& rows;
  Scratch* scratch;  ///< null: runs are made where they belong
  SweepProgress& progress;
};

/// The cells of a sweep that are left, one by one, as this process can claim them.
class SweepSource : public TaskSource {
 public:
  explicit SweepSource(const SweepPlaces& places);

  int64_t runs() const override { return static_cast<int64_t>(places_.states.size()); }
  bool several() const override { return true; }
  std::optional<Task> next() override;
  void ended(int64_t run, const Summary& summary) override;
  void failed(int64_t run, const Failure& failure) override;

  size_t elsewhere() const { return held_.size(); }  ///< cells that other processes have
  size_t made() const { return made_; }              ///< here

 private:
  struct Running {
    size_t cell;
    std::filesystem::path made_in, belongs_in;
  };
  std::optional<size_t> next_cell();
  bool is_made_elsewhere(size_t cell);
  std::optional<Task> prepared(size_t cell);
  Task begun(size_t cell, Task task, bool goes_on);
  void bring_home(const Running& running) const;
  void bring_home_if_possible(const Running& running) const;
  void settle(CellRow row);

  const SweepPlaces places_;
  const CellOrder order_;
  size_t place_ = 0;          // in the order
  std::vector<size_t> held_;  // by other processes, when they were tried
  std::map<int64_t, Running> running_;
  int64_t taken_ = 0;
  size_t made_ = 0;
  std::mutex mutex_;  // the watchdog of signals ends runs too
};

}  // namespace steplapse
