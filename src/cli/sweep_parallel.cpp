#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "base/text.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/sweep_jobs.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr int64_t kMostParallelShards = 100'000, kMostSlots = 1000;

constexpr const char* kParallelExamples = R"(Examples:
  steplapse sweep parallel plan.json --out sweep --gpus 4 > sweep.sh; sh sweep.sh
  steplapse sweep parallel plan.json --out sweep --ssh alpha,beta --jobs 2
  steplapse sweep parallel plan.json --out sweep --jobs 2 --shards 8

Run what it prints again after an interruption: what is done is not done again. Machines
by ssh need the program, the plan and the sweep's folder under the same paths.)";

struct ParallelFlags {
  std::string plan, out;
  std::vector<std::string> machines;
  int64_t shards = 0, jobs = 1, gpus = 0;
  Readers readers;
};

void add_flags(CLI::App& command, ParallelFlags& flags) {
  command.description(
      "Prints the lines with which GNU parallel runs a sweep on several GPUs, or on several machines by ssh");
  command.footer(kParallelExamples);
  command.add_option("PLAN", flags.plan, "The plan's file, as sweep plan writes it")->type_name("")->required();
  const char* group = "Jobs";
  Binder bind(command, group, flags.readers);
  bind("--out", "DIR", "The sweep's folder", flags.out, as_it_is)->required();
  bind("--jobs", "N", "Shards at once on each machine (1, or as many as GPUs)", flags.jobs, integer(1, kMostSlots));
  bind("--gpus", "N", "GPUs of this machine; each shard gets one of them", flags.gpus, integer(1, kMostSlots));
  bind("--ssh", "HOSTS", "Other machines, as ssh knows them: a,b,user@c; : is this one", flags.machines,
       [](const std::string&, const std::string& text) { return list_of(text); });
  bind("--shards", "N", "How many parts the sweep has (as many as run at once)", flags.shards,
       integer(1, kMostParallelShards));
}

void check_together(const CLI::App& command, const ParallelFlags& flags) {
  if (command.count("--gpus") > 0 && command.count("--ssh") > 0)
    throw UsageError(
        "--gpus and --ssh: parallel numbers the slots of all machines together, so they can't stand for GPUs; call one "
        "for each machine, with shards of its own");
  if (command.count("--gpus") > 0 && command.count("--jobs") > 0)
    throw UsageError("--jobs and --gpus: each GPU has one shard at a time; leave --jobs out");
  for (const std::string& machine : flags.machines) {
    if (machine.empty()) throw UsageError("--ssh: expected names of machines, as alpha,beta");
  }
}

/// parallel replaces what stands in braces, also in a path.
void check_braces(const SweepJobs& jobs) {
  for (const std::string* path : {&jobs.program, &jobs.plan, &jobs.out}) {
    if (path->find('{') != std::string::npos)
      throw UsageError(in_quotes(*path) + ": parallel would replace what stands in braces; rename it");
  }
}

/// One killed shard is done again, with --resume-failed also after parallel itself was killed; --resume alone would take
/// a shard that failed for done. 25 s to end cleanly: less than the 30 s that clusters give.
std::string parallel_line(const SweepJobs& jobs, const ParallelFlags& flags) {
  const int64_t at_once = flags.gpus > 0 ? flags.gpus : flags.jobs;
  std::string shard = shard_command(jobs, "{}");
  if (flags.gpus > 0) shard = "CUDA_VISIBLE_DEVICES=$(({%} - 1)) " + shard;
  std::string line = "parallel --jobs " + std::to_string(at_once) + " --joblog " + shell_word(jobs.out + ".joblog") +
                     " --resume --resume-failed --retries 3 --termseq TERM,25000,KILL --line-buffer";
  if (!flags.machines.empty())
    line += " --sshlogin " + shell_word(joined(flags.machines, ",")) + " --workdir " +
            shell_word(std::filesystem::current_path().string());
  return line + " " + shell_word(shard) + " ::: $(seq " + std::to_string(jobs.shards) + ")";
}

int print_parallel(const CLI::App& command, ParallelFlags& flags) {
  read(flags.readers);
  check_together(command, flags);
  SweepJobs jobs = sweep_jobs(flags.plan, flags.out, flags.shards);
  check_braces(jobs);
  const int64_t machines = std::max<int64_t>(1, std::ssize(flags.machines));
  if (jobs.shards == 0)
    jobs.shards = std::min(static_cast<int64_t>(jobs.cells), flags.gpus > 0 ? flags.gpus : flags.jobs * machines);
  std::cout << parallel_line(jobs, flags) << '\n' << merge_command(jobs) << '\n';
  return 0;
}

}  // namespace

Command sweep_parallel_command() {
  return with_flags<ParallelFlags>({.name = "sweep parallel",
                                    .arguments = "PLAN",
                                    .about = "Print the lines for GNU parallel",
                                    .group = CommandGroup::experiments},
                                   add_flags, print_parallel);
}

}  // namespace steplapse
