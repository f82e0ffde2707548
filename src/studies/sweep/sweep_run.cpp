#include "studies/sweep/sweep_run.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/confinement.h"
#include "base/file_io.h"
#include "base/machine.h"
#include "base/signals.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "base/wording.h"
#include "model/bundle_folder.h"
#include "runs/batch.h"
#include "steplapse/error.h"
#include "studies/sweep/cell_claims.h"
#include "studies/sweep/cell_states.h"
#include "studies/sweep/row_writer.h"
#include "studies/sweep/scratch.h"
#include "studies/sweep/sweep_changes.h"
#include "studies/sweep/sweep_estimate.h"
#include "studies/sweep/sweep_progress.h"
#include "studies/sweep/sweep_results.h"
#include "studies/sweep/sweep_rows.h"
#include "studies/sweep/sweep_source.h"
#include "studies/sweep/sweep_survey.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

/// Answers of the network that are kept for cells to come: 1 GiB, or an eighth of the memory that is free.
size_t bytes_for_answers() {
  constexpr int64_t kMost = int64_t{1} << 30;
  return static_cast<size_t>(std::clamp(available_memory() / 8, int64_t{1} << 20, kMost));
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw OutputError(path.string() + ": cannot make the folder: " + error.message());
}

/// Writes the plan into a new folder; one that is there must be the same. Several processes may begin at once.
void put_plan(const SweepRunOptions& options) {
  const fs::path file = plan_file(options.out);
  std::error_code unreadable;
  make_folder(options.out);
  if (!fs::exists(file, unreadable)) {
    const fs::path own = options.out / (".plan-" + std::to_string(::getpid()) + ".json");
    write_whole(own, json_of(options.plan));
    fs::rename(own, file, unreadable);
  }
  const std::string changes = changes_of(plan_in(options.out), options.plan);
  if (!changes.empty())
    throw UsageError(options.out.string() + ": holds another sweep: " + changes + "; name another `out`");
}

std::vector<std::string> decoders_in(const SweepPlan& plan) {
  std::set<std::string> names{"full"};
  const auto add = [&](const SweepSettings& settings) {
    for (const auto& [name, text] : settings) {
      if (name == "decoder") names.insert(text);
    }
  };
  add(plan.fixed);
  for (const SweepAxis& axis : plan.axes) std::ranges::for_each(axis.points, add);
  return {names.begin(), names.end()};
}

class SweepRun {
 public:
  SweepRun(const SweepRunOptions& options, SweepProgress& progress)
      : options_(options),
        progress_(progress),
        folder_(options.running.model),
        manifest_(folder_.manifest()),
        cells_(options.plan, manifest_, options.read_setting) {}

  int go() {
    survey_ = survey(options_.plan, manifest_, cells_, options_.running.max_batch != 1);
    if (options_.dry_run) return say_dry_run();
    std::error_code unreadable;
    if (!fs::exists(plan_file(options_.out), unreadable))
      check_room(options_.out, survey_.bytes, free_bytes_at(options_.out));
    confinement_writes(options_.out);
    if (!options_.scratch.empty()) confinement_writes(options_.scratch);
    put_plan(options_);
    claims_.emplace(options_.out, options_.plan.cells());
    look_at_locks();
    look_at_cells();
    const bool anything_left = states_->count(CellState::left, options_.shard) > 0;
    if (anything_left) make_cells();
    if (!said_end_) close();
    if (noted_signal() != 0 && end_.left > 0) return exit_code_of_signal(noted_signal());
    return end_.failed.empty() ? 0 : 1;
  }

 private:
  void look_at_locks() {
    const auto why = claims_->why_locks_fail();
    if (!why) return;
    claims_->go_without_locks();
    warnings_.add({options_.out.string() + ": " + *why +
                   ", so nothing keeps two processes from making one cell here: give each shard a folder of its own, "
                   "which sweep merge puts together" +
                   (options_.scratch.empty() ? ", and let runs be made on this machine's own disk (`scratch`)" : "")});
  }

  void look_at_cells() {
    states_.emplace(options_.out, options_.plan);
    if (options_.retry_failed) states_->retry_failed(options_.shard);
    SweepStart start{.out = options_.out, .cells = cells_here()};
    for (auto& [cell, fault] : states_->check(options_.shard)) {
      faulty_.insert(cell);
      start.again.push_back(std::move(fault));
    }
    start.made = states_->count(CellState::made, options_.shard);
    start.failed = states_->count(CellState::failed, options_.shard);
    start.skipped = states_->count(CellState::skipped, options_.shard);
    start.steps = steps_left();
    start.shard = shard_text();
    progress_.begins(start);
  }

  int say_dry_run() {
    const Bundle bundle = load_for_runs(std::move(folder_), options_.running, decoders_in(options_.plan), progress_);
    const int64_t room = free_bytes_at(options_.out);
    const double seconds = estimated_seconds(bundle, survey_, cells_);
    if (options_.json) {
      std::cout << survey_json(options_.plan, survey_, room, seconds, bundle.device()).dump(2) << std::endl;
    } else {
      for (const std::string& line : survey_lines(options_.plan, survey_, room, seconds, bundle.device()))
        std::cout << worded(line) << std::endl;
    }
    check_room(options_.out, survey_.bytes, room);
    return 0;
  }

  /// Of a sweep that goes on the share that is left.
  void say_what_is_to_do(const Bundle& bundle) {
    const int64_t room = free_bytes_at(options_.out);
    const double left = static_cast<double>(states_->count(CellState::left, options_.shard)) /
                        static_cast<double>(std::max<size_t>(1, survey_.cells));
    check_room(options_.out, static_cast<int64_t>(left * static_cast<double>(survey_.bytes)), room);
    if (options_.running.progress == ProgressMode::none || options_.running.progress == ProgressMode::json) return;
    const double seconds = left * estimated_seconds(bundle, survey_, cells_);
    for (const std::string& line : survey_lines(options_.plan, survey_, room, std::nullopt, bundle.device()))
      progress_.say_line(worded(line));
    progress_.say_line(time_text(seconds) + (left < 1 ? " for what is left" : "") + " on " + bundle.device());
  }

  void make_cells() {
    rows_ = std::make_unique<RowWriter>(options_.out, RowsHeader{options_.shard, sha256_of(options_.plan)});
    if (!options_.scratch.empty()) scratch_ = std::make_unique<Scratch>(options_.scratch);
    const std::string model_sha256 = manifest_.sha256;
    const Bundle bundle = load_for_runs(std::move(folder_), options_.running, decoders_in(options_.plan), progress_);
    say_what_is_to_do(bundle);
    source_ = std::make_unique<SweepSource>(
        SweepPlaces{options_, cells_, model_sha256, *states_, faulty_, *claims_, *rows_, scratch_.get(), progress_});
    progress_.when_runs_ended = [this](const BatchSummary& summary) {
      runs_ = summary;
      if (noted_signal() != 0) close();
    };
    make_runs(bundle, *source_, {.shared_bytes = bytes_for_answers(), .cut_at_signal = true}, options_.running,
              options_.out, warnings_, progress_);
    rows_.reset();
    scratch_.reset();
  }

  /// Counts what is there now, by whom ever it was made, and where all cells are settled makes tables and pictures.
  void close() {
    said_end_ = true;
    const CellStates now(options_.out, options_.plan);
    end_ = {.out = options_.out,
            .cells = cells_here(),
            .made = now.count(CellState::made, options_.shard),
            .skipped = now.count(CellState::skipped, options_.shard),
            .failed = now.failed(options_.shard),
            .elsewhere = source_ ? source_->elsewhere() : 0,
            .made_here = source_ ? source_->made() : 0,
            .asked_calls = runs_.asked_calls,
            .shared_calls = runs_.shared_calls,
            .seconds = since_start_.seconds(),
            .shard = shard_text()};
    end_.left = end_.cells - end_.made - end_.skipped - end_.failed.size() - end_.elsewhere;
    if (noted_signal() == 0 && now.count(CellState::left, {}) == 0) {
      if (const std::string note = write_sweep_results(options_.out); !note.empty()) progress_.warning(note);
      end_.results = options_.out / "results.csv";
    }
    progress_.ended(end_);
  }

  size_t cells_here() const {
    if (!options_.shard) return options_.plan.cells();
    const auto [number, of] = *options_.shard;
    return options_.plan.cells() / of + (number <= options_.plan.cells() % of);
  }

  std::string shard_text() const {
    if (!options_.shard) return "";
    return "shard " + std::to_string(options_.shard->number) + "/" + std::to_string(options_.shard->of);
  }

  /// Of the cells that are left, as far as the plan says it without their runs.
  int64_t steps_left() const {
    const CellOrder order(options_.plan);
    const auto usual = static_cast<size_t>(manifest_.defaults.steps);
    int64_t steps = 0;
    for (size_t place = 0; place < order.size(); ++place) {
      const size_t cell = order.cell_at(place);
      if ((*states_)[cell] != CellState::left || (options_.shard && !options_.shard->has(cell))) continue;
      steps += static_cast<int64_t>(order.steps_at(place, usual));
    }
    return steps;
  }

  const SweepRunOptions& options_;
  SweepProgress& progress_;
  Warnings warnings_{[this](const std::string& text) { progress_.warning(text); }};
  const Stopwatch since_start_;
  BundleFolder folder_;      // until the bundle is loaded
  const Manifest manifest_;  // its own: cells refer to it to the end
  const SweepCells cells_;
  SweepSurvey survey_;
  std::optional<CellClaims> claims_;
  std::optional<CellStates> states_;
  std::set<size_t> faulty_;
  std::unique_ptr<RowWriter> rows_;
  std::unique_ptr<Scratch> scratch_;
  std::unique_ptr<SweepSource> source_;
  BatchSummary runs_;
  SweepEnd end_;
  bool said_end_ = false;
};

}  // namespace

int run_sweep(const SweepRunOptions& options) {
  const auto progress = make_sweep_progress(options.running.progress, options.json);
  try {
    return SweepRun(options, *progress).go();
  } catch (const std::exception& error) {
    progress->failed(failure_of(error));
    throw;
  }
}

}  // namespace steplapse
