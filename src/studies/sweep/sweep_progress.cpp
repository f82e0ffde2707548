#include "studies/sweep/sweep_progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <mutex>

#include "base/progress_line.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "base/wording.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

std::string cells_text(size_t cells) { return counted(static_cast<int64_t>(cells), "cell"); }

std::string place_of(const FailedCell& failed) {
  return "cell " + std::to_string(failed.cell + 1) + (failed.folder.empty() ? "" : " (" + failed.folder + ")");
}

std::string beginning_line(const SweepStart& start) {
  const size_t settled = start.made + start.failed + start.skipped, left = start.cells - settled;
  std::string text = cells_text(start.cells) + " -> " + start.out.string();
  if (!start.shard.empty()) text = start.shard + ": " + text;
  if (settled == 0) return text;
  text += "; " + std::to_string(start.made) + " made";
  if (start.failed > 0) text += ", " + std::to_string(start.failed) + " failed";
  if (start.skipped > 0) text += ", " + std::to_string(start.skipped) + " skipped";
  return text + ", " + (left == 0 ? "nothing is" : std::to_string(left)) + " left to do";
}

std::vector<std::string> again_lines(const SweepStart& start) {
  constexpr size_t kShown = 5;
  std::vector<std::string> lines(start.again.begin(),
                                 start.again.begin() + static_cast<ptrdiff_t>(std::min(kShown, start.again.size())));
  for (std::string& line : lines) line += "; it is made again";
  if (start.again.size() > kShown)
    lines.push_back("and " + std::to_string(start.again.size() - kShown) + " more cells are made again");
  return lines;
}

/// How many of its calls the runs here did not need the network for.
std::string calls_line(const SweepEnd& end) {
  std::string text = counted(end.asked_calls, "denoiser call");
  if (end.shared_calls == 0) return text;
  char share[32];
  std::snprintf(share, sizeof share, "%.0f%%",
                100 * static_cast<double>(end.shared_calls) / static_cast<double>(end.asked_calls + end.shared_calls));
  return text + " asked, " + std::to_string(end.shared_calls) + " saved (" + share +
         "): other cells had asked the same";
}

std::string closing_line(const SweepEnd& end) {
  std::string text =
      (end.shard.empty() ? "" : end.shard + ": ") + std::to_string(end.made) + " of " + cells_text(end.cells) + " made";
  const auto add = [&](size_t cells, const char* what) {
    if (cells > 0) text += ", " + std::to_string(cells) + what;
  };
  add(end.skipped, " skipped");
  add(end.failed.size(), " failed");
  add(end.elsewhere, " in the hands of other processes");
  add(end.left, " left");
  return text + ", in " + end.out.string();
}

std::string failed_lines(const SweepEnd& end) {
  constexpr size_t kShown = 20;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, end.failed.size()); ++i)
    text += "  " + place_of(end.failed[i]) + ": " + end.failed[i].reason + "\n";
  if (end.failed.size() > kShown) text += "  and " + std::to_string(end.failed.size() - kShown) + " more\n";
  return text.empty() ? "" : "failed (`retry_failed` makes them again):\n" + text;
}

std::string closing_lines(const SweepEnd& end) {
  std::string text = closing_line(end) + "\n";
  if (end.made_here > 0)
    text += calls_line(end) + "; " + cells_text(end.made_here) + " in " + clock_text(end.seconds) + "\n";
  text += failed_lines(end);
  if (!end.results.empty()) text += end.results.string() + "\n";
  return worded(text);
}

std::string failed_cell_line(const CellRow& row) {
  return "steplapse: " + place_of({row.cell, row.reason, row.folder}) + " " + row.status + ": " + row.reason;
}

/// Counts, under a lock, since frames come from another thread.
class SweepCounting : public SweepProgress {
 public:
  explicit SweepCounting(bool json) : json_(json) {}

  void begins(const SweepStart& start) override {
    start_ = start;
    since_start_.restart();
    say(beginning_line(start));
    for (const std::string& line : again_lines(start)) say(line);
  }
  void say_line(const std::string& line) override { say(line); }
  void started(int64_t, const Plan&, const Manifest&, const std::filesystem::path&, int64_t) override {
    const std::lock_guard guard(mutex_);
    ++running_;
    show();
  }
  void step(int64_t, const StepRow&) override {
    const std::lock_guard guard(mutex_);
    ++steps_;
    seconds_ = since_start_.seconds();
    show();
  }
  void done(int64_t, const Summary&) override {
    const std::lock_guard guard(mutex_);
    running_ = std::max(running_ - 1, 0);
  }
  void run_failed(int64_t, const std::filesystem::path&, const Failure&) override {  // settled() tells it
    const std::lock_guard guard(mutex_);
    running_ = std::max(running_ - 1, 0);
  }
  void settled(const CellRow& row) override {
    if (row.status == "failed") say(failed_cell_line(row));
    const std::lock_guard guard(mutex_);
    ++(row.is_made() ? start_.made : row.status == "failed" ? start_.failed : start_.skipped);
    show();
  }
  void made_elsewhere(size_t cells) override {
    const std::lock_guard guard(mutex_);
    start_.made += cells;
  }
  void ended(const SweepEnd& end) override {
    std::cout << (json_ ? json_of(end).dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n"
                        : closing_lines(end))
              << std::flush;
  }

 protected:
  virtual void show() = 0;
  virtual void say(const std::string& line) { std::cerr << line << std::endl; }

  double share() const {
    return static_cast<double>(start_.made + start_.failed + start_.skipped) /
           static_cast<double>(std::max<size_t>(1, start_.cells));
  }
  /// What matters most comes first.
  std::vector<std::string> state() const {
    std::vector<std::string> parts{std::to_string(start_.made) + "/" + cells_text(start_.cells)};
    if (running_ > 0) parts.push_back(std::to_string(running_) + " running");
    if (start_.failed > 0) parts.push_back(std::to_string(start_.failed) + " failed");
    if (steps_ > 0 && seconds_ > 0) {
      const auto left = static_cast<double>(std::max<int64_t>(0, start_.steps - steps_));
      parts.push_back(clock_text(left * seconds_ / static_cast<double>(steps_)) + " left");
    }
    return parts;
  }

  std::mutex mutex_;
  SweepStart start_;  // counts on
  Stopwatch since_start_;

 private:
  const bool json_;
  double seconds_ = 0;  // at the last step
  int64_t steps_ = 0;
  int running_ = 0;
};

class SweepLines : public SweepCounting {
 public:
  using SweepCounting::SweepCounting;

 protected:
  void show() override {
    if (since_line_.seconds() < 10) return;
    since_line_.restart();
    std::cerr << joined(state(), ", ") << std::endl;
  }

 private:
  Stopwatch since_line_;
};

class SweepBar : public SweepCounting {
 public:
  using SweepCounting::SweepCounting;
  void ended(const SweepEnd& end) override {
    line_.end();
    SweepCounting::ended(end);
  }
  void warning(const std::string& text) override { line_.say("steplapse: warning: " + text); }
  void failed(const Failure&) override { line_.end(); }

 protected:
  void show() override { line_.show(share(), state()); }
  void say(const std::string& text) override { line_.say(text); }

 private:
  ProgressLine line_;
};

/// An event a line.
class SweepJson : public SweepProgress {
 public:
  void begins(const SweepStart& start) override {
    say({{"event", "sweep"},
         {"folder", start.out.string()},
         {"cells", start.cells},
         {"made", start.made},
         {"failed", start.failed},
         {"skipped", start.skipped},
         {"made_again", start.again}});
  }
  void taken(int64_t run, size_t cell) override {
    const std::lock_guard guard(mutex_);
    cells_[run] = cell;
  }
  void started(int64_t run, const Plan& plan, const Manifest&, const std::filesystem::path& folder,
               int64_t logged_steps) override {
    say({{"event", "cell_started"},
         {"cell", cell_of(run)},
         {"folder", folder.string()},
         {"steps", plan.steps()},
         {"logged_steps", logged_steps}});
  }
  void done(int64_t run, const Summary& summary) override {
    if (summary.status == "interrupted")
      say({{"event", "cell_cut"}, {"cell", cell_of(run)}, {"folder", summary.folder.string()}});
  }
  void run_failed(int64_t, const std::filesystem::path&, const Failure&) override {}
  void settled(const CellRow& row) override {
    ordered_json event{{"event", "cell"}};
    event.update(json_of(row));
    event["cell"] = row.cell + 1;
    say(event);
  }
  void ended(const SweepEnd& end) override {
    ordered_json event{{"event", "sweep_done"}};
    event.update(json_of(end));
    say(event);
  }
  void warning(const std::string& text) override { say({{"event", "warning"}, {"message", text}}); }
  void failed(const Failure& failure) override {
    say({{"event", "error"}, {"message", failure.message}, {"exit_code", static_cast<int>(failure.code)}});
  }

 private:
  ordered_json cell_of(int64_t run) {
    const std::lock_guard guard(mutex_);
    const auto found = cells_.find(run);
    return found == cells_.end() ? ordered_json() : ordered_json(found->second + 1);
  }
  void say(const ordered_json& event) {
    const std::lock_guard guard(mutex_);
    std::cout << event.dump(-1, ' ', false, ordered_json::error_handler_t::replace) << std::endl;
  }

  std::mutex mutex_;
  std::map<int64_t, size_t> cells_;
};

/// Failed cells and what `json` asks for.
class SweepQuiet : public SweepProgress {
 public:
  explicit SweepQuiet(bool json) : json_(json) {}
  void run_failed(int64_t, const std::filesystem::path&, const Failure&) override {}
  void settled(const CellRow& row) override {
    if (row.status == "failed") std::cerr << failed_cell_line(row) << std::endl;
  }
  void ended(const SweepEnd& end) override {
    if (json_) std::cout << json_of(end).dump(2, ' ', false, ordered_json::error_handler_t::replace) << std::endl;
  }

 private:
  const bool json_;
};

}  // namespace

std::string clock_text(double seconds) {
  const auto whole = static_cast<long>(std::ceil(seconds));
  char text[64];
  if (whole < 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return text;
}

ordered_json json_of(const SweepEnd& end) {
  ordered_json failed = ordered_json::array();
  for (const FailedCell& cell : end.failed)
    failed.push_back({{"cell", cell.cell + 1}, {"reason", cell.reason}, {"folder", cell.folder}});
  return {{"folder", end.out.string()},
          {"cells", end.cells},
          {"made", end.made},
          {"skipped", end.skipped},
          {"failed", failed},
          {"elsewhere", end.elsewhere},
          {"left", end.left},
          {"made_here", end.made_here},
          {"asked_calls", end.asked_calls},
          {"shared_calls", end.shared_calls},
          {"seconds", end.seconds},
          {"results", end.results.empty() ? ordered_json() : ordered_json(end.results.string())}};
}

std::unique_ptr<SweepProgress> make_sweep_progress(ProgressMode mode, bool json) {
  if (mode == ProgressMode::automatic) mode = isatty(STDERR_FILENO) ? ProgressMode::bar : ProgressMode::lines;
  switch (mode) {
    case ProgressMode::bar: return std::make_unique<SweepBar>(json);
    case ProgressMode::lines: return std::make_unique<SweepLines>(json);
    case ProgressMode::json: return std::make_unique<SweepJson>();
    default: return std::make_unique<SweepQuiet>(json);
  }
}

}  // namespace steplapse
