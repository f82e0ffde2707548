#include "studies/sweep/sweep_state.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/wording.h"
#include "record/run_folder.h"
#include "steplapse/run_log.h"
#include "studies/sweep/cell_claims.h"
#include "studies/sweep/cell_states.h"
#include "studies/sweep/sweep_rows.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// The folder of each cell that has one, by the number that its name begins with.
std::map<size_t, fs::path> folders_by_cell(const fs::path& sweep) {
  std::map<size_t, fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator entry(sweep / "runs", error), end; !error && entry != end; entry.increment(error)) {
    const size_t number = std::strtoull(entry->path().filename().c_str(), nullptr, 10);
    if (number > 0) folders[number - 1] = entry->path();
  }
  return folders;
}

int64_t steps_in_log(const fs::path& folder) {
  try {
    return std::ssize(RunLog::open(log_in(folder)).steps());
  } catch (const std::exception&) {  // it is just being made
    return 0;
  }
}

std::vector<RunningCell> running_cells(const fs::path& sweep, const CellStates& states) {
  std::vector<RunningCell> running;
  const auto claimed = claimed_cells(sweep, states.size());
  if (claimed.empty()) return running;
  const auto folders = folders_by_cell(sweep);
  for (const size_t cell : claimed) {
    if (states[cell] != CellState::left) continue;  // its row is there, the lock not yet gone
    const auto folder = folders.find(cell);
    if (folder == folders.end()) {
      running.push_back({cell, ""});
    } else {
      running.push_back({cell, folder->second.lexically_relative(sweep).string(), steps_in_log(folder->second)});
    }
  }
  return running;
}

/// At the pace of the last cells: how long the last n took, all processes together. Cells of a sweep differ in length, so it
/// is a guess.
std::optional<double> seconds_for(size_t cells, std::vector<double> written, double now) {
  constexpr size_t kLast = 50;
  if (written.size() < 2) return std::nullopt;
  std::ranges::sort(written);
  const size_t last = std::min(kLast, written.size() - 1);
  const double took = now - written[written.size() - 1 - last];
  return took <= 0 ? std::nullopt : std::optional(took / static_cast<double>(last) * static_cast<double>(cells));
}

double now_in_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string row_of_table(const char* what, size_t cells) {
  char text[64];
  std::snprintf(text, sizeof text, "%-8s %7zu\n", what, cells);
  return text;
}

}  // namespace

SweepState state_of_sweep(const fs::path& sweep) {
  const SweepPlan plan = plan_in(sweep);
  const CellStates states(sweep, plan);
  SweepState state{.out = sweep,
                   .cells = plan.cells(),
                   .made = states.count(CellState::made, {}),
                   .skipped = states.count(CellState::skipped, {}),
                   .failed = states.failed({}),
                   .running = running_cells(sweep, states)};
  const std::vector<double> written = states.times_written();
  if (!written.empty()) state.last_written = std::ranges::max(written);
  if (!state.running.empty())
    state.seconds_left = seconds_for(state.running.size() + state.left(), written, now_in_seconds());
  return state;
}

std::string state_table(const SweepState& state) {
  constexpr size_t kShown = 20;
  std::string text = state.out.string() + ": " + counted(static_cast<int64_t>(state.cells), "cell") + "\n";
  text += row_of_table("made", state.made) + row_of_table("running", state.running.size()) +
          row_of_table("failed", state.failed.size()) + row_of_table("left", state.left());
  if (state.skipped > 0) text += row_of_table("skipped", state.skipped);
  for (size_t i = 0; i < std::min(kShown, state.running.size()); ++i) {
    const RunningCell& cell = state.running[i];
    text += "running: cell " + std::to_string(cell.cell + 1) +
            (cell.folder.empty() ? "" : ", " + cell.folder + ", " + counted(cell.steps, "step") + " made") + "\n";
  }
  for (size_t i = 0; i < std::min(kShown, state.failed.size()); ++i) {
    const FailedCell& cell = state.failed[i];
    text += "failed: cell " + std::to_string(cell.cell + 1) + (cell.folder.empty() ? "" : ", " + cell.folder) + ": " +
            cell.reason + "\n";
  }
  if (state.failed.size() > kShown) text += "and " + std::to_string(state.failed.size() - kShown) + " more failed\n";
  if (state.seconds_left) text += "about " + clock_text(*state.seconds_left) + " left\n";
  if (state.running.empty() && state.left() > 0)
    text += "nobody works on it; the command that began it goes on with it\n";
  return worded(text);
}

ordered_json json_of(const SweepState& state) {
  ordered_json running = ordered_json::array(), failed = ordered_json::array();
  for (const RunningCell& cell : state.running)
    running.push_back({{"cell", cell.cell + 1}, {"folder", cell.folder}, {"steps", cell.steps}});
  for (const FailedCell& cell : state.failed)
    failed.push_back({{"cell", cell.cell + 1}, {"folder", cell.folder}, {"reason", cell.reason}});
  const auto maybe = [](const std::optional<double>& value) { return value ? ordered_json(*value) : ordered_json(); };
  return {{"folder", state.out.string()},
          {"cells", state.cells},
          {"made", state.made},
          {"skipped", state.skipped},
          {"left", state.left()},
          {"running", running},
          {"failed", failed},
          {"seconds_left", maybe(state.seconds_left)},
          {"last_written", maybe(state.last_written)}};
}

}  // namespace steplapse
