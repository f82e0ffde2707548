#include "studies/sweep/sweep_merge.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/file_io.h"
#include "base/text.h"
#include "steplapse/error.h"
#include "studies/report_runs.h"
#include "studies/sweep/cell_run.h"
#include "studies/sweep/sweep_results.h"
#include "studies/sweep/sweep_rows.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostRanges = 20, kMostProblems = 50;

/// "3, 7-9 and 40 more": cells from 1. @param cells  from 0, rising
std::string cells_text(const std::vector<size_t>& cells) {
  std::vector<std::string> ranges;
  size_t told = 0;
  for (size_t first = 0; first < cells.size() && ranges.size() < kMostRanges;) {
    size_t last = first;
    while (last + 1 < cells.size() && cells[last + 1] == cells[last] + 1) ++last;
    ranges.push_back(std::to_string(cells[first] + 1) + (last > first ? "-" + std::to_string(cells[last] + 1) : ""));
    told += last - first + 1;
    first = last + 1;
  }
  return joined(ranges, ", ") + (told < cells.size() ? " and " + std::to_string(cells.size() - told) + " more" : "");
}

// ---- what is there

class FoundCells {
 public:
  explicit FoundCells(const std::vector<fs::path>& sweeps) : sweeps_(sweeps), plan_(plan_in(sweeps.front())) {
    rows.resize(plan_.cells());
    from.resize(rows.size());
    check_folders();
    check_plans();
    if (sweeps_.size() > 1) check_shards();
    for (size_t i = 0; i < sweeps_.size(); ++i) take_rows(i);
    tell_damaged();
    tell_different();
    tell_missing();
  }

  SweepMergeResult result() const {
    SweepMergeResult result{.problems = problems_, .cells = rows.size(), .twice = twice_, .note = {}};
    for (const auto& row : rows) {
      result.made += row && row->is_made();
      result.failed += row && row->status == "failed";
      result.skipped += row && row->status == "skipped";
    }
    return result;
  }
  const SweepPlan& plan() const { return plan_; }
  fs::path run_of(size_t cell) const { return sweeps_[from[cell]] / rows[cell]->folder; }

  std::vector<std::optional<CellRow>> rows;
  std::vector<uint32_t> from;  // which sweep each is taken from

 private:
  void check_folders() const {
    std::set<fs::path> seen;
    for (const fs::path& sweep : sweeps_) {
      std::error_code unreadable;
      if (!seen.insert(fs::weakly_canonical(sweep, unreadable)).second)
        throw UsageError(in_quotes(sweep.string()) + ": is named twice");
    }
  }

  void check_plans() const {
    const std::string wanted = sha256_of(plan_);
    for (const fs::path& sweep : sweeps_) {
      if (sha256_of(plan_in(sweep)) == wanted) continue;
      throw UsageError(in_quotes(sweep.string()) + ": its plan is not that of " + in_quotes(sweeps_.front().string()) +
                       "; only shards of one plan can be merged");
    }
  }

  /// Which shards there are, and that all are of one number.
  void check_shards() {
    for (const fs::path& sweep : sweeps_) {
      for (const auto& [file, header] : row_files_in(sweep)) {
        if (!header.shard) continue;
        if (shards_ > 0 && header.shard->of != shards_)
          throw UsageError(in_quotes(sweep.string()) + ": is shard " + std::to_string(header.shard->number) + " of " +
                           std::to_string(header.shard->of) + ", but " + in_quotes(first_shard_.string()) +
                           " is one of " + std::to_string(shards_) + "; expected the shards of one number");
        if (shards_ == 0) first_shard_ = sweep;
        shards_ = header.shard->of;
        seen_shards_.insert(header.shard->number);
      }
    }
  }

  void take_rows(size_t sweep) {
    auto found = rows_in(sweeps_[sweep], plan_);
    for (size_t cell = 0; cell < found.size(); ++cell) {
      if (found[cell]) take(cell, std::move(*found[cell]), static_cast<uint32_t>(sweep));
    }
  }

  void take(size_t cell, CellRow row, uint32_t sweep) {
    if (row.is_made()) {
      if (const auto fault = fault_of(row, sweeps_[sweep])) {
        damaged_[cell] = (sweeps_[sweep] / row.folder).string() + ": " + *fault;
        return;
      }
    }
    auto& known = rows[cell];
    if (known && known->is_made()) {
      if (row.is_made()) compare(cell, *known, row, sweep);
      return;
    }
    known = std::move(row);
    from[cell] = sweep;
  }

  void compare(size_t cell, const CellRow& known, const CellRow& row, uint32_t sweep) {
    if (known.final_sha256 == row.final_sha256) {
      ++twice_;
      return;
    }
    different_[{from[cell], sweep}].push_back(cell);
  }

  /// Those that no other folder has whole.
  void tell_damaged() {
    for (const auto& [cell, wrong] : damaged_) {
      if (!has_end(rows[cell])) add_problem("damaged: cell " + std::to_string(cell + 1) + ": " + wrong);
    }
  }

  void tell_different() {
    for (const auto& [folders, cells] : different_)
      add_problem("different pictures of " + counted(static_cast<int64_t>(cells.size()), "cell") + " in " +
                  in_quotes(sweeps_[folders.first].string()) + " and " + in_quotes(sweeps_[folders.second].string()) +
                  ": " + cells_text(cells));
  }

  void tell_missing() {
    std::map<size_t, std::vector<size_t>> by_shard;  // 0: of a sweep that isn't cut
    for (size_t cell = 0; cell < rows.size(); ++cell) {
      if (!rows[cell] && !damaged_.contains(cell)) by_shard[shards_ > 0 ? cell % shards_ + 1 : 0].push_back(cell);
    }
    for (const auto& [shard, cells] : by_shard) {
      const std::string name = "shard " + std::to_string(shard) + " of " + std::to_string(shards_);
      const std::string what = counted(static_cast<int64_t>(cells.size()), "cell") + (shard > 0 ? " of " + name : "");
      if (shard > 0 && !seen_shards_.contains(shard))
        add_problem(name + " is missing: " + counted(static_cast<int64_t>(cells.size()), "cell") + ", " +
                    cells_text(cells));
      else
        add_problem("missing: " + what + ": " + cells_text(cells));
    }
  }

  void add_problem(const std::string& text) {
    if (problems_.size() < kMostProblems) problems_.push_back(text);
    if (problems_.size() == kMostProblems) problems_.push_back("and perhaps more");
  }

  const std::vector<fs::path>& sweeps_;
  const SweepPlan plan_;
  size_t shards_ = 0, twice_ = 0;
  std::set<size_t> seen_shards_;
  std::map<size_t, std::string> damaged_;  // by cell: what is wrong with it
  fs::path first_shard_;
  std::map<std::pair<uint32_t, uint32_t>, std::vector<size_t>> different_;  // by the two folders
  std::vector<std::string> problems_;
};

// ---- the whole sweep's folder

[[noreturn]] void cannot_write(const fs::path& path, const std::error_code& error) {
  throw OutputError(path.string() + ": cannot write: " + error.message());
}

/// A log that has two names would be damaged by SQLite, and a lock would hold both folders.
bool may_have_two_names(const fs::path& file) {
  const std::string name = file.filename().string();
  return !name.starts_with("run.sqlite") && name != "run.lock";
}

void link_or_copy(const fs::path& file, const fs::path& to) {
  std::error_code error;
  if (may_have_two_names(file)) {
    fs::create_hard_link(file, to, error);
    if (!error) return;
  }
  fs::copy_file(file, to, error);
  if (error) cannot_write(to, error);
}

void link_folder(const fs::path& folder, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const fs::path into = to / entry->path().filename();
    if (entry->is_directory())
      link_folder(entry->path(), into);
    else if (entry->is_regular_file())
      link_or_copy(entry->path(), into);
  }
  if (error) cannot_write(to, error);
}

/// OUT.part, which becomes OUT or is deleted.
class PartFolder {
 public:
  explicit PartFolder(const fs::path& out) : out_(without_slash(out)), part_(out_.string() + ".part") {
    std::error_code error;
    if (fs::exists(fs::symlink_status(out_, error)) && !(fs::is_directory(out_, error) && fs::is_empty(out_, error)))
      throw OutputError(out_.string() + ": is there already; name another `out`, or delete it");
    fs::remove_all(part_, error);  // of a merge that was killed
    if (!fs::create_directories(part_, error)) cannot_write(part_, error);
  }
  PartFolder(const PartFolder&) = delete;
  PartFolder& operator=(const PartFolder&) = delete;
  ~PartFolder() {
    std::error_code error;
    if (!is_finished_) fs::remove_all(part_, error);
  }

  const fs::path& path() const { return part_; }
  void finish() {
    std::error_code error;
    fs::remove(out_, error);  // an empty folder
    fs::rename(part_, out_, error);
    if (error) cannot_write(out_, error);
    is_finished_ = true;
  }

 private:
  fs::path out_, part_;
  bool is_finished_ = false;
};

void write_merged_rows(const FoundCells& found, const fs::path& to) {
  std::error_code error;
  fs::create_directories(rows_folder(to), error);
  PartFile file(rows_folder(to) / "merged.jsonl");
  file.write(rows_header({.shard = {}, .plan_sha256 = sha256_of(found.plan())}));
  for (const auto& row : found.rows)
    file.write(json_of(*row).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  file.finish();
}

void write_merged_runs(const FoundCells& found, const fs::path& to) {
  for (size_t cell = 0; cell < found.rows.size(); ++cell) {
    if (found.rows[cell]->is_made()) link_folder(found.run_of(cell), to / found.rows[cell]->folder);
  }
}

void write_merged(const FoundCells& found, const fs::path& out) {
  PartFolder part(out);
  write_whole(plan_file(part.path()), json_of(found.plan()));
  write_merged_runs(found, part.path());
  write_merged_rows(found, part.path());
  part.finish();
}

}  // namespace

SweepMergeResult merge_sweeps(const SweepMergeOptions& options) {
  if (options.sweeps.size() > 1 && options.out.empty())
    throw UsageError("no `out`: several folders are merged into a new one; name it");
  FoundCells found(options.sweeps);
  SweepMergeResult result = found.result();
  if (!result.problems.empty()) return result;
  if (!options.out.empty()) write_merged(found, options.out);
  result.note = write_sweep_results(
      sweep_of(options.out.empty() ? options.sweeps.front() : options.out, found.plan(), std::move(found.rows)));
  return result;
}

}  // namespace steplapse
