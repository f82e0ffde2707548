#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "base/file_io.h"
#include "base/text.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/sweep_jobs.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr int64_t kMostSlurmShards = 4'000'000;  // Slurm's own limit of MaxArraySize

constexpr const char* kSlurmExamples = R"(Examples:
  steplapse sweep slurm plan.json --out sweep --shards 8
  steplapse sweep slurm plan.json --out sweep --shards 8 -- --time=2:00:00 --gres=gpu:1 -p gpu
  sbatch plan.sbatch

What follows -- goes to sbatch, for the shards and for the merge. The sweep's folder
must be on a file system that all nodes share.)";

struct SlurmFlags {
  std::string plan, out, to;
  std::vector<std::string> sbatch;
  int64_t shards = 1, at_once = 0;
  bool overwrite = false;
  Readers readers;
};

void add_flags(CLI::App& command, SlurmFlags& flags) {
  command.description(
      "Writes a batch file for Slurm: an array of shards, and a merge after them that says what is missing");
  command.footer(kSlurmExamples);
  command.add_option("PLAN", flags.plan, "The plan's file, as sweep plan writes it")->type_name("")->required();
  command.add_option("SBATCH", flags.sbatch, "After --: options of sbatch")->type_name("");
  const char* group = "Batch file";
  Binder bind(command, group, flags.readers);
  bind("--out", "DIR", "The sweep's folder", flags.out, as_it_is)->required();
  bind("--shards", "N", "How many tasks the array has", flags.shards, integer(1, kMostSlurmShards))->required();
  bind("--at-once", "N", "How many of them may run at once (all)", flags.at_once, integer(1, kMostSlurmShards));
  bind("--to", "FILE", "Where the batch file goes, - for standard output (the plan's name with .sbatch)", flags.to,
       as_it_is);
  command.add_flag("--overwrite", flags.overwrite, "Replace the file that is there")->group(group);
}

/// What would break the batch file if it were said after `--`.
void check_sbatch_options(const std::vector<std::string>& options) {
  if (!options.empty() && !options.front().starts_with('-'))
    throw UsageError("unexpected " + in_quotes(options.front()) +
                     "; options of sbatch stand after --, as -- --time=1:00:00");
  for (const std::string& option : options) {
    if (option.starts_with("-a") || option.starts_with("--array"))
      throw UsageError(in_quotes(option) + ": --shards and --at-once make the array; leave it out");
    if (option.starts_with("-d") || option.starts_with("--dependency") || option.starts_with("--wrap"))
      throw UsageError(in_quotes(option) + ": the batch file has its own; give it to sbatch when you submit the file");
    if (option.find_first_of("\r\n") != std::string::npos)
      throw UsageError(in_quotes(option) + ": has a line break, which a batch file can't");
  }
}

std::string array_text(const SlurmFlags& flags) {
  return "1-" + std::to_string(flags.shards) + (flags.at_once > 0 ? "%" + std::to_string(flags.at_once) : "");
}

/// The first task submits the merge, so that one sbatch does all; not where Slurm begins it again.
std::string batch_file(const SweepJobs& jobs, const SlurmFlags& flags) {
  std::vector<std::string> words;
  for (const std::string& option : flags.sbatch) words.push_back(shell_word(option));
  const std::string options = joined(words, " ");
  std::ostringstream file;
  file << "#!/bin/sh\n"
       << "# " << counted(static_cast<int64_t>(jobs.cells), "cell") << " in " << counted(jobs.shards, "shard")
       << ". Submit it with sbatch; again, and it does what is still missing.\n"
       << "#SBATCH --job-name=" << shell_word(jobs.name) << '\n'
       << "#SBATCH --array=" << array_text(flags) << '\n'
       << "# B: sends the signal to this shell, which exec makes the program; it ends cleanly within a step.\n"
       << "#SBATCH --signal=B:TERM@60\n"
       << "#SBATCH --requeue\n";
  if (!options.empty()) file << "#SBATCH " << options << '\n';
  const std::string name = shell_word(jobs.name + "-merge"), merge = shell_word("exec " + merge_command(jobs));
  file << "\nif [ \"$SLURM_ARRAY_TASK_ID\" = \"$SLURM_ARRAY_TASK_MIN\" ] && [ \"${SLURM_RESTART_COUNT:-0}\" = 0 ]; "
          "then  # the first task, once\n"
       << "  sbatch --dependency=\"afterany:$SLURM_ARRAY_JOB_ID\" --job-name=" << name
       << (options.empty() ? "" : " " + options) << " \\\n"
       << "    --wrap " << merge << " ||\n"
       << "    echo 'No merge was submitted; once all shards have ended, run:' " << merge << " >&2\n"
       << "fi\n"
       << "exec " << shard_command(jobs, "\"$SLURM_ARRAY_TASK_ID\"") << '\n';
  return file.str();
}

std::filesystem::path batch_file_path(const SlurmFlags& flags) {
  return flags.to.empty() ? std::filesystem::path(flags.plan).replace_extension(".sbatch")
                          : std::filesystem::path(flags.to);
}

int write_batch_file(const CLI::App&, SlurmFlags& flags) {
  read(flags.readers);
  check_sbatch_options(flags.sbatch);
  const SweepJobs jobs = sweep_jobs(flags.plan, flags.out, flags.shards);
  const std::string text = batch_file(jobs, flags);
  if (flags.to == "-") {
    std::cout << text;
    return 0;
  }
  const std::filesystem::path file = batch_file_path(flags);
  check_writable(file, flags.overwrite);
  write_whole(file, text);
  std::cout << file.string() << ": " << counted(static_cast<int64_t>(jobs.cells), "cell") << " in "
            << counted(jobs.shards, "shard") << ", and a merge; submit it with: sbatch "
            << shell_word(escaped(file.string(), std::string::npos)) << '\n';
  return 0;
}

}  // namespace

Command sweep_slurm_command() {
  return with_flags<SlurmFlags>({.name = "sweep slurm",
                                 .arguments = "PLAN [-- SBATCH...]",
                                 .about = "Write a batch file for Slurm",
                                 .group = CommandGroup::experiments},
                                add_flags, write_batch_file);
}

}  // namespace steplapse
