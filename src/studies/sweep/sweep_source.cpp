#include "studies/sweep/sweep_source.h"

#include <algorithm>
#include <utility>

#include "base/signals.h"
#include "record/run_folder.h"
#include "steplapse/error.h"
#include "studies/sweep/cell_run.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

/// What a run leaves beside its log; without the log it is of no use, and would keep the run from beginning anew.
void delete_what_has_no_log(const fs::path& folder) {
  std::error_code unreadable;
  if (fs::exists(log_in(folder), unreadable)) return;
  for (const char* file : {"run.json", "steps.csv", "final.png", "final.safetensors"})
    fs::remove(folder / file, unreadable);
}

std::string name_in(const fs::path& sweep, const fs::path& folder) {
  std::error_code unreadable;
  return fs::exists(folder, unreadable) ? folder.lexically_relative(sweep).string() : "";
}

}  // namespace

SweepSource::SweepSource(const SweepPlaces& places) : places_(places), order_(places.options.plan) {}

std::optional<Task> SweepSource::next() {
  const std::lock_guard guard(mutex_);
  while (noted_signal() == 0) {
    const auto cell = next_cell();
    if (!cell) return std::nullopt;
    if (auto task = prepared(*cell)) return task;
  }
  return std::nullopt;
}

/// The next cell that is claimed now. Those that others have are tried again at the end: their processes may have died.
std::optional<size_t> SweepSource::next_cell() {
  const auto& shard = places_.options.shard;
  while (place_ < order_.size()) {
    const size_t cell = order_.cell_at(place_++);
    if (places_.states[cell] != CellState::left || (shard && !shard->has(cell))) continue;
    if (places_.claims.claim(cell)) return cell;
    if (!is_made_elsewhere(cell)) held_.push_back(cell);
  }
  std::erase_if(held_, [this](size_t cell) { return is_made_elsewhere(cell); });
  const auto free = std::ranges::find_if(held_, [this](size_t cell) { return places_.claims.claim(cell); });
  if (free == held_.end()) return std::nullopt;
  const size_t cell = *free;
  held_.erase(free);
  return cell;
}

bool SweepSource::is_made_elsewhere(size_t cell) {
  if (!places_.claims.is_finished_elsewhere(cell)) return false;
  places_.states.set(cell, CellState::made);
  places_.progress.made_elsewhere(1);
  return true;
}

/// None where the cell is settled without a run.
std::optional<Task> SweepSource::prepared(size_t cell) {
  const fs::path& out = places_.options.out;
  try {
    Task task = places_.cells.task(cell, out);
    switch (look_at_run(task, places_.model_sha256, places_.faulty.contains(cell))) {
      case CellRun::complete: settle(row_of_run(cell, out, task.folder)); return std::nullopt;
      case CellRun::begun: return begun(cell, std::move(task), true);
      default: return begun(cell, std::move(task), false);
    }
  } catch (const UsageError& error) {
    settle(row_without_run(cell, places_.options.plan.skip_invalid ? "skipped" : "failed", error.what(), ""));
  }
  return std::nullopt;
}

Task SweepSource::begun(size_t cell, Task task, bool goes_on) {
  Running running{cell, task.folder, task.folder};
  if (!goes_on) delete_what_has_no_log(task.folder);
  if (places_.scratch) {
    running.made_in = places_.scratch->path() / task.folder.filename();
    if (goes_on) copy_whole(running.belongs_in, running.made_in);
    task.folder = running.made_in;
  }
  task.overwrite = !goes_on;
  running_[++taken_] = std::move(running);
  places_.progress.taken(taken_, cell);
  return task;
}

void SweepSource::bring_home(const Running& running) const {
  std::error_code unreadable;
  if (running.made_in != running.belongs_in && fs::exists(running.made_in, unreadable))
    move_whole(running.made_in, running.belongs_in);
}

/// What does not get home begins anew the next time.
void SweepSource::bring_home_if_possible(const Running& running) const {
  try {
    bring_home(running);
  } catch (const OutputError&) {
  }
}

/// A cell that was cut has no row: it goes on the next time.
void SweepSource::ended(int64_t run, const Summary& summary) {
  const std::lock_guard guard(mutex_);
  const Running running = running_.at(run);
  if (summary.status == "interrupted") return bring_home_if_possible(running);
  bring_home(running);
  settle(row_of_run(running.cell, places_.options.out, running.belongs_in, summary.shared_calls));
  running_.erase(run);
  ++made_;
}

void SweepSource::failed(int64_t run, const Failure& failure) {
  const std::lock_guard guard(mutex_);
  const Running running = running_.at(run);
  running_.erase(run);
  bring_home_if_possible(running);
  settle(row_without_run(running.cell, "failed", failure.message, name_in(places_.options.out, running.belongs_in)));
}

void SweepSource::settle(CellRow row) {
  const size_t cell = row.cell;
  places_.rows.add(row);
  places_.states.set(cell, state_of(row));
  if (row.status == "failed") places_.states.note_failed({cell, row.reason, row.folder});
  places_.claims.count_finished(cell);
  places_.claims.release(cell);
  places_.progress.settled(row);
}

}  // namespace steplapse
