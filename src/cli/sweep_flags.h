#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/binder.h"
#include "studies/sweep/sweep_run.h"

namespace steplapse {

/// The flags that say how a sweep is run, as they were given.
struct SweepRunFlags {
  Readers readers;  ///< of the flags that runs have too
  std::string out, scratch, shard;
};

void add_sweep_run_flags(CLI::App& command, SweepRunOptions& options, SweepRunFlags& flags);
void add_shard_flag(CLI::App& command, SweepRunFlags& flags);

/// Once the plan is there. Without --shard a task of a Slurm array does its part.
void read_sweep_run(const CLI::App& command, SweepRunOptions& options, const SweepRunFlags& flags);

/// I/N. @throws UsageError  it is none, or I is out of range
Shard shard_of(const std::string& flag, const std::string& text);

}  // namespace steplapse
