#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace steplapse {

/// What the commands say that other engines are to run for a sweep. All paths are absolute: jobs begin in other folders,
/// and on other machines.
struct SweepJobs {
  std::string program, plan, out;
  std::string name;    ///< of the plan, without its ending
  size_t cells = 0;    ///< of the sweep
  int64_t shards = 1;  ///< its parts
};

/// Reads the plan, so that what is wrong with it is said before it is handed to other machines.
/// @param shards  0: not chosen yet
/// @throws UsageError  it is no plan; it has fewer cells than shards; a path has control characters
SweepJobs sweep_jobs(const std::string& plan, const std::string& out, int64_t shards);

/// A text as one word for a shell, in single quotes where it needs them; a shell, and sbatch, change nothing in those.
/// @param text  no control characters
std::string shell_word(const std::string& text);

/// The command of a shard as a shell reads it: "/bin/steplapse sweep run '/a b/plan.json' --out /a/out --shard 3/4".
/// @param shard  what stands for its number, as the shell is to read it
std::string shard_command(const SweepJobs& jobs, const std::string& shard);

/// The command that puts the shards together and says what is missing.
std::string merge_command(const SweepJobs& jobs);

}  // namespace steplapse
