#include "cli/sweep_flags.h"

#include <cstdlib>
#include <optional>

#include "base/text.h"
#include "cli/flag_values.h"
#include "cli/flags.h"
#include "cli/setting_reader.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr int64_t kMostShards = 10'000'000;

std::optional<std::string> slurm_variable(const char* name) {
  const char* value = std::getenv(name);
  return value && *value ? std::optional<std::string>(value) : std::nullopt;
}

/// The part of a task of a Slurm array. Arrays may begin at any number, and count in steps.
std::optional<Shard> shard_of_slurm() {
  const auto id = slurm_variable("SLURM_ARRAY_TASK_ID"), count = slurm_variable("SLURM_ARRAY_TASK_COUNT");
  if (!id || !count) return std::nullopt;
  const auto number = [](const char* name, const std::string& text) {
    return integer_number(name, text, 0, kMostShards);
  };
  const int64_t first = number("SLURM_ARRAY_TASK_MIN", slurm_variable("SLURM_ARRAY_TASK_MIN").value_or("0"));
  const int64_t step = number("SLURM_ARRAY_TASK_STEP", slurm_variable("SLURM_ARRAY_TASK_STEP").value_or("1"));
  const int64_t place = (number("SLURM_ARRAY_TASK_ID", *id) - first) / std::max<int64_t>(step, 1) + 1;
  return shard_of("SLURM_ARRAY_TASK_ID and _COUNT, as --shard", std::to_string(place) + "/" + *count);
}

}  // namespace

Shard shard_of(const std::string& flag, const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) throw UsageError(flag + " " + in_quotes(text) + ": expected I/N, as 2/8");
  const int64_t of = integer_number(flag + " " + text + ", N", text.substr(slash + 1), 1, kMostShards);
  const int64_t number = integer_number(flag + " " + text + ", I", text.substr(0, slash), 1, of);
  return {static_cast<size_t>(number), static_cast<size_t>(of)};
}

void add_sweep_run_flags(CLI::App& command, SweepRunOptions& options, SweepRunFlags& flags) {
  const char* group = "Running";
  command.add_option("--out", flags.out, "The sweep's folder; one that was cut goes on")
      ->type_name("DIR")
      ->group(group);
  command.add_flag("--dry-run", options.dry_run, "Say what would be done, how long it takes and how large it gets")
      ->group(group);
  command.add_flag("--json", options.json, "JSON in place of what is said on standard output")->group(group);
  command.add_flag("--retry-failed", options.retry_failed, "Make cells again that failed")->group(group);
  command
      .add_option("--scratch", flags.scratch,
                  "A folder on a disk of this machine's own: runs are made there and moved when they are whole")
      ->type_name("DIR")
      ->group(group);
  add_running_flags(command, group, options.running, flags.readers);
}

void add_shard_flag(CLI::App& command, SweepRunFlags& flags) {
  command
      .add_option("--shard", flags.shard,
                  "Part I of N of the cells (in a Slurm array that of the task; else all cells that nobody else does)")
      ->type_name("I/N")
      ->group("Running");
}

void read_sweep_run(const CLI::App& command, SweepRunOptions& options, const SweepRunFlags& flags) {
  if (command.count("--out") > 0 && flags.out.empty()) throw UsageError("--out '': expected a folder's name");
  if (flags.out.empty() && !options.dry_run)
    throw UsageError("no --out; a sweep's folder has a name, so that the same command goes on with it");
  if (command.count("--scratch") > 0 && flags.scratch.empty())
    throw UsageError("--scratch '': expected a folder's name");
  options.out = flags.out;
  options.scratch = flags.scratch;
  options.read_setting = setting_reader();
  if (!flags.shard.empty()) options.shard = shard_of("--shard", flags.shard);
  if (flags.shard.empty() && command.get_option_no_throw("--shard")) options.shard = shard_of_slurm();
}

}  // namespace steplapse
