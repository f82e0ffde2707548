#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "base/file_io.h"
#include "base/terminal.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "studies/run_paths.h"

namespace steplapse {
namespace {

struct PathsFlags {
  std::vector<std::string> runs;
  std::filesystem::path csv, plot;
  bool overwrite = false, json = false;
  Readers readers;
};

constexpr const char* kPathsExamples = R"(Examples:
  steplapse paths runs/a runs/b                    where they begin and end, and how far they went
  steplapse paths runs/a runs/b --out paths.svg    each run a line
)";

void add_flags(CLI::App& command, PathsFlags& flags) {
  command.description(
      "Where the x0 of runs went, step by step, in the plane that shows most of it. No bundle is needed");
  command.footer(kPathsExamples);
  command.add_option("RUN", flags.runs, "The runs' folders: another prompt, seed, sampler, number of steps, a branch")
      ->type_name("")
      ->required();
  Binder bind(command, "OPTIONS", flags.readers);
  bind("--csv", "FILE", "Write a row for each run and step", flags.csv, as_it_is);
  bind("--out", "FILE", "Draw each run as a line, as .svg or .png", flags.plot, as_it_is);
  command.add_flag("--json", flags.json, "JSON in place of the table");
  command.add_flag("--overwrite", flags.overwrite, "Replace the files that are there");
}

int run_paths(const CLI::App&, PathsFlags& flags) {
  read(flags.readers);
  if (!flags.plot.empty()) check_plot_name(flags.plot);
  for (const auto& file : {flags.csv, flags.plot}) {
    if (!file.empty()) check_writable(file, flags.overwrite);
  }
  const RunPaths paths = paths_of_runs({flags.runs.begin(), flags.runs.end()});
  if (!flags.csv.empty()) write_whole(flags.csv, paths_csv(paths));
  if (!flags.plot.empty()) write_plots(flags.plot, {paths_plot(paths)});
  std::cout << (flags.json ? paths_json(paths) : paths_table(paths, output_columns())) << std::flush;
  return 0;
}

}  // namespace

Command paths_command() {
  return with_flags<PathsFlags>({.name = "paths",
                                 .arguments = "RUN...",
                                 .about = "Show where runs went on the way to their pictures",
                                 .group = CommandGroup::look,
                                 .exit_codes = {0, 1, 2, 4, 5}},
                                add_flags, run_paths);
}

}  // namespace steplapse
