#include "cli/sweep_jobs.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>

#include "base/file_io.h"
#include "base/text.h"
#include "steplapse/error.h"
#include "studies/sweep/sweep_plan.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLargestJobsPlan = size_t{256} << 20;  // bytes

/// Absolute, and such that a script can have it in a line.
std::string script_path(const fs::path& path) {
  std::string text = fs::absolute(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  const auto is_control = [](unsigned char c) { return std::iscntrl(c) != 0; };
  if (std::any_of(text.begin(), text.end(), is_control))
    throw UsageError(in_quotes(text) + ": has control characters, which a line of a script can't; rename it");
  return text;
}

}  // namespace

SweepJobs sweep_jobs(const std::string& plan, const std::string& out, int64_t shards) {
  if (out.empty()) throw UsageError("--out '': expected a folder's name");
  const size_t cells = sweep_plan_in(read_whole(plan, kLargestJobsPlan), plan).cells();
  if (shards > static_cast<int64_t>(cells))
    throw UsageError("--shards " + std::to_string(shards) + ": the sweep has " +
                     counted(static_cast<int64_t>(cells), "cell") + ", and a shard needs one or more");
  return {.program = script_path(fs::read_symlink("/proc/self/exe")),
          .plan = script_path(plan),
          .out = script_path(out),
          .name = fs::path(plan).stem().string(),
          .cells = cells,
          .shards = shards};
}

std::string shell_word(const std::string& text) {
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) || std::strchr("_./:=,+-", c) != nullptr; };
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string shard_command(const SweepJobs& jobs, const std::string& shard) {
  return shell_word(jobs.program) + " sweep run " + shell_word(jobs.plan) + " --out " + shell_word(jobs.out) +
         " --shard " + shard + "/" + std::to_string(jobs.shards);
}

std::string merge_command(const SweepJobs& jobs) {
  return shell_word(jobs.program) + " sweep merge " + shell_word(jobs.out);
}

}  // namespace steplapse
