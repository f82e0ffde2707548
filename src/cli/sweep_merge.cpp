#include "studies/sweep/sweep_merge.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/text.h"
#include "base/wording.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"

namespace steplapse {
namespace {

struct SweepMergeFlags {
  std::vector<std::string> sweeps;
  SweepMergeOptions options;
  Readers readers;
};

constexpr const char* kSweepMergeExamples = R"(Examples:
  steplapse sweep merge shard1 shard2 shard3 --out whole    folders of the shards' own
  steplapse sweep merge DIR                                 one folder that all shards wrote to: is all there?
)";

void add_flags(CLI::App& command, SweepMergeFlags& flags) {
  command.description(
      "Puts the shards of a sweep together, checks that no cell is missing or different, and writes the results");
  command.footer(kSweepMergeExamples);
  command.add_option("DIR", flags.sweeps, "The shards' folders, or the one that they share")->type_name("")->required();
  Binder bind(command, "Merging", flags.readers);
  bind("--out", "DIR", "The whole sweep's folder. Its files are hard links to the shards', but for the logs",
       flags.options.out, as_it_is);
}

/// "96 cells: 94 made, 1 failed, 1 skipped"
std::string text_of_merged(const SweepMergeResult& result) {
  std::string text = counted(static_cast<int64_t>(result.cells), "cell") + ": " + std::to_string(result.made) + " made";
  const auto tell = [&](size_t cells, const char* what) {
    if (cells > 0) text += ", " + std::to_string(cells) + what;
  };
  tell(result.failed, " failed");
  tell(result.skipped, " skipped");
  tell(result.twice, " of them twice, with equal pictures");
  return text;
}

int run_sweep_merge(const CLI::App&, SweepMergeFlags& flags) {
  read(flags.readers);
  SweepMergeOptions& options = flags.options;
  options.sweeps.assign(flags.sweeps.begin(), flags.sweeps.end());
  const SweepMergeResult result = merge_sweeps(options);
  for (const std::string& problem : result.problems) std::cout << problem << '\n';
  std::cout << std::flush;
  if (!result.problems.empty())
    throw Error(ExitCode::run_failed, "the sweep is not whole: see the list above; nothing is written");
  if (!result.note.empty()) warn(result.note);
  std::cout << (options.out.empty() ? options.sweeps.front() : options.out).string() << ": " << text_of_merged(result)
            << std::endl;
  return 0;
}

}  // namespace

Command sweep_merge_command() {
  return with_flags<SweepMergeFlags>({.name = "sweep merge",
                                      .arguments = "DIR...",
                                      .about = "Put shards together, and check that nothing is missing",
                                      .group = CommandGroup::experiments,
                                      .exit_codes = {0, 1, 2, 4}},
                                     add_flags, run_sweep_merge);
}

}  // namespace steplapse
