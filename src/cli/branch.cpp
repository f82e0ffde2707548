#include "studies/branch.h"

#include <CLI/CLI.hpp>
#include <limits>

#include "cli/commands.h"
#include "cli/flag_values.h"
#include "cli/flags.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

struct BranchFlags {
  BranchOptions options;
  std::string run, at;
  Readers readers;
};

constexpr const char* kBranchExamples = R"(Examples:
  steplapse branch apple --at 10 --prompt "green apple"  another prompt after 10
  steplapse branch apple --at 5,10,15 --noise 0.1,0.5    six branches, and a table
  steplapse branch apple --at all --noise 0.2            when has it settled?
  steplapse branch apple --at 10 --sampler heun          the rest by Heun's method
)";

std::vector<double> amounts_of(const std::string& flag, const std::string& text) {
  std::vector<double> amounts;
  for (const std::string& item : list_of(text))
    amounts.push_back(real_number(flag, item, 0, std::numeric_limits<double>::infinity()));
  return amounts;
}

std::array<int64_t, 4> region_of(const std::string& flag, const std::string& text) {
  const std::vector<std::string> items = list_of(text);
  if (items.size() != 4) throw UsageError(flag + " " + text + ": expected X,Y,WIDTH,HEIGHT in pixels");
  std::array<int64_t, 4> region{};
  for (size_t i = 0; i < 4; ++i) region[i] = integer_number(flag, items[i], 0, kAnyNumber);
  return region;
}

void add_change_flags(CLI::App& command, BranchFlags& flags) {
  BranchSettings& changes = flags.options.changes;
  Binder bind(command, "What changes after it", flags.readers);
  bind("--prompt", "TEXT", "Another prompt", changes.prompt, as_it_is);
  bind("--negative-prompt", "TEXT", "Another negative prompt", changes.negative_prompt, as_it_is);
  bind("--guidance-scale", "X", "Another weight of the prompt", changes.guidance_scale,
       number(0, std::numeric_limits<double>::infinity()));
  bind("--sampler", "NAME", "Another sampler; it begins without the steps before it", changes.sampler,
       [](const std::string& flag, const std::string& text) { return name_of(flag, text, samplers()); });
  bind("--schedule", "NAME", "Other levels, from the step's own to the end", changes.schedule,
       [](const std::string& flag, const std::string& text) {
         return name_of(flag, text, schedules(), {"ays", "bundle"});
       });
  bind("--steps", "N", "So many steps from there to the end", changes.steps, integer(1));
}

void add_noise_flags(CLI::App& command, BranchFlags& flags) {
  const char* group = "Noise to begin with";
  BranchOptions& options = flags.options;
  Binder bind(command, group, flags.readers);
  bind("--noise", "LIST", "Add fresh noise of X times the step's sigma; of several, a branch each", options.noise,
       amounts_of);
  command
      .add_flag("--keep-variance", options.keep_variance,
                "Mix the noise with that which is there, in place of adding it; X up to 1")
      ->group(group);
  bind("--noise-seed", "N", "Its seed (the run's seed + 1)", options.noise_seed, seed_number);
  bind("--region", "X,Y,W,H", "Add it in this rectangle alone, in pixels", options.region, region_of);
}

void add_flags(CLI::App& command, BranchFlags& flags) {
  command.description("Makes a run again from a step on, with something changed");
  command.footer(kBranchExamples);
  command.set_help_flag();  // groups are listed as they first appear: help comes last
  const char* run = "The run";
  command.add_option("RUN", flags.run, "Its folder")->type_name("")->group(run)->required();
  command.add_option("--at", flags.at, "The last step that stays as it was; of a list, a branch each; all: each step")
      ->type_name("LIST")
      ->group(run)
      ->required();
  add_change_flags(command, flags);
  add_noise_flags(command, flags);
  const char* group = "Running";
  command.add_option("--out", flags.options.out, "The branch's run folder (runs/DATE-PROMPT-SEED), or that of several")
      ->type_name("DIR")
      ->group(group);
  command.add_flag("--overwrite", flags.options.overwrite, "Replace the runs that are there")->group(group);
  add_running_flags(command, group, flags.options.running, flags.readers, UsualModel::left_open);
  command.add_flag("--dry-run", flags.options.dry_run, "Say what would be done, and do nothing")->group(group);
  command.set_help_flag("-h,--help", "Print the flags that matter most and exit")->group(group);
  command.set_help_all_flag("--help-all", "Print all flags and exit")->group(group);
}

void refuse_no_change(const BranchOptions& options) {
  const BranchSettings& changes = options.changes;
  if (!options.noise.empty() || changes.prompt || changes.negative_prompt || changes.guidance_scale ||
      changes.sampler || changes.schedule || changes.steps)
    return;
  throw UsageError(
      "nothing changes; expected --prompt, --negative-prompt, --guidance-scale, --sampler, --schedule, "
      "--steps or --noise");
}

void check_noise(const CLI::App& command, const BranchOptions& options) {
  for (const char* flag : {"--keep-variance", "--noise-seed", "--region"}) {
    if (command.count(flag) > 0 && options.noise.empty()) throw UsageError(std::string(flag) + ": needs --noise");
  }
  for (const double amount : options.noise) {
    if (options.keep_variance && amount > 1)
      throw UsageError("--noise: with --keep-variance expected at most 1, the share of fresh noise");
  }
}

int run_branch(const CLI::App& command, BranchFlags& flags) {
  const BranchOptions& checked = json_errors(command, [&]() -> const BranchOptions& {
    BranchOptions& options = flags.options;
    read(flags.readers);
    options.run = flags.run;
    if (flags.at != "all") {
      const auto steps = steps_of("--at", flags.at);
      options.at.assign(steps.begin(), steps.end());
    }
    refuse_no_change(options);
    check_noise(command, options);
    return options;
  });
  return branch(checked);
}

}  // namespace

Command branch_command() {
  return with_flags<BranchFlags>(
      {.name = "branch",
       .arguments = "RUN",
       .about = "Make a run again from a step on, with something changed",
       .group = CommandGroup::go_on,
       .common = {"--at", "--prompt", "--guidance-scale", "--sampler", "--steps", "--noise", "--out", "--model"},
       .exit_codes = kDrawingExitCodes},
      add_flags, run_branch);
}

}  // namespace steplapse
