#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "plan/plan.h"
#include "record/run_folder.h"
#include "record/run_state.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct RunsFlags {
  std::string folder = "runs";
  bool json = false;
};

void add_flags(CLI::App& command, RunsFlags& flags) {
  command.description("Lists the runs in a folder, how each ended, and how to go on with those that did not");
  command.add_option("DIR", flags.folder, "A folder of runs, or of folders of runs (runs)")->type_name("");
  command.add_flag("--json", flags.json, "As JSON, a list of runs");
}

/// Those in it, and those of several pictures' folders one below. @throws UsageError  it can't be read
std::vector<fs::path> runs_below(const fs::path& folder) {
  std::vector<fs::path> runs = runs_in(folder);
  if (runs == std::vector{folder}) return runs;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::error_code unreadable;  // perhaps the user's own
    if (!fs::is_directory(entry.path(), unreadable) || fs::exists(log_in(entry.path()), unreadable)) continue;
    try {
      for (const fs::path& run : runs_in(entry.path())) runs.push_back(run);
    } catch (const UsageError&) {
    }
  }
  std::sort(runs.begin(), runs.end());
  return runs;
}

/// A row of the list.
struct Line {
  fs::path folder;
  std::string how;  ///< done, stopped, interrupted, failed, cut off, going on, damaged
  std::string reason;
  std::optional<RunState> run;  ///< none where it is damaged
  std::optional<int64_t> planned;

  bool goes_on() const { return how == "interrupted" || how == "failed" || how == "cut off"; }
  std::string command() const {
    return "steplapse resume " + shell_quoted(escaped(folder.string(), std::string::npos));
  }
};

Line line_of(const fs::path& folder) {
  try {
    RunState run = state_of(folder);
    const std::string how = run.is_being_written ? "going on" : run.ended.empty() ? "cut off" : run.ended;
    const auto planned = plan_of(run.facts).made_steps;
    return {folder, how, run.ended_reason, std::move(run), planned};
  } catch (const std::exception& error) {  // one line of the list, not its end
    return {.folder = folder, .how = "damaged", .reason = failure_of(error).message, .run = {}, .planned = {}};
  }
}

std::string steps_text(const Line& line) {
  return std::to_string(line.run->steps) + "/" + (line.planned ? std::to_string(*line.planned) : "?");
}

ordered_json json_of(const Line& line) {
  ordered_json json{{"folder", line.folder.string()}, {"how", line.how}};
  if (!line.reason.empty()) json["reason"] = line.reason;
  if (!line.run) return json;
  json.update({{"prompt", line.run->facts.prompt},
               {"seed", line.run->facts.recipe.seed},
               {"sampler", line.run->facts.recipe.sampler},
               {"schedule", line.run->facts.schedule},
               {"steps", line.run->steps},
               {"planned_steps", nullptr},
               {"model", line.run->origin.model},
               {"started", line.run->origin.started},
               {"resumed", line.run->resumed}});
  if (line.planned) json["planned_steps"] = *line.planned;
  if (line.goes_on()) json["resume"] = line.command();
  return json;
}

void print(const std::vector<Line>& lines) {
  size_t name = 0;
  for (const Line& line : lines) name = std::max(name, display_width(line.folder.string()));
  for (const Line& line : lines) {
    const std::string folder = escaped(line.folder.string(), std::string::npos);
    std::cout << folder << std::string(name + 2 - std::min(name, display_width(folder)), ' ');
    if (line.run) {
      std::cout << std::left << std::setw(12) << line.how << std::right << std::setw(8) << steps_text(line) << "  "
                << line.run->facts.recipe.sampler << "  " << in_quotes(line.run->facts.prompt, 40) << '\n';
    } else {
      std::cout << line.how << ": " << line.reason << '\n';
    }
    if (line.goes_on()) std::cout << "  " << line.command() << '\n';
  }
}

int list_runs(const CLI::App& command, RunsFlags& flags) {
  std::vector<Line> lines;
  if (command.count("DIR") > 0 || fs::exists(flags.folder)) {  // there is no folder runs before the first run
    for (const fs::path& folder : runs_below(flags.folder)) lines.push_back(line_of(folder));
  }
  if (flags.json) {
    ordered_json list = ordered_json::array();
    for (const Line& line : lines) list.push_back(json_of(line));
    std::cout << list.dump(2, ' ', false, ordered_json::error_handler_t::replace) << '\n';
  } else if (lines.empty()) {
    std::cout << "no run is in " << escaped(flags.folder, std::string::npos) << '\n';
  } else {
    print(lines);
  }
  return 0;
}

}  // namespace

Command runs_command() {
  return with_flags<RunsFlags>({.name = "runs",
                                .arguments = "[DIR]",
                                .about = "List runs, how they ended, and how to go on",
                                .group = CommandGroup::look},
                               add_flags, list_runs);
}

}  // namespace steplapse
