#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>

#include "base/file_io.h"
#include "base/text.h"
#include "base/wording.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/frame_flags.h"
#include "cli/setting_reader.h"
#include "cli/sweep_axes.h"
#include "cli/sweep_flags.h"
#include "steplapse/error.h"
#include "studies/sweep/sweep_check.h"
#include "studies/sweep/sweep_run.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLargestPlan = 256 << 20;  // bytes

constexpr const char* kSweepAbout = R"(Draws a picture for each combination of settings, and makes tables and a grid of
them. What several cells ask the network alike is asked once. The same command
goes on with a sweep that was cut.
)";

constexpr const char* kSweepExamples = R"(Examples:
  steplapse sweep "red apple" --steps 5,10,20,50 --seed 1..4 --out steps
  steplapse sweep "red apple" heart --sampler ddim,dpmpp_2m --steps 5..25:5 --out s
  steplapse sweep "red apple" --weight red=0.6..1.6:0.2 --out red
)";

/// The flags, and what they set.
struct SweepFlags {
  SweepRunOptions options;
  AxisFlags axes;
  FrameFlags frames{.kinds = "none", .readers = {}};
  SweepRunFlags run;
  std::string plan_file;
  bool overwrite = false;
};

void add_plan_flags(CLI::App& command, SweepFlags& flags) {
  command.set_help_flag();  // groups are listed as they first appear: help comes last
  add_axis_flags(command, flags.axes);
  const char* group = "Cells";
  command
      .add_flag("--skip-invalid", flags.options.plan.skip_invalid,
                "Leave out cells that their sampler or model refuses; else they refuse the sweep")
      ->group(group);
  add_frame_flags(command, "Frames (only final pictures are made unless these ask for more)", flags.frames,
                  flags.options.plan.frames);
}

void add_help_flags(CLI::App& command) {
  const char* group = "Running";
  command.set_help_flag("-h,--help", "Print the flags that matter most and exit")->group(group);
  command.set_help_all_flag("--help-all", "Print all flags and exit")->group(group);
}

void read_plan(const CLI::App& command, SweepFlags& flags) {
  SweepPlan& plan = flags.options.plan;
  std::vector<std::string> notes;
  read_axes(command, flags.axes, plan, notes);
  read_frames(command, flags.frames, plan.frames);
  read(flags.run.readers);
  const Manifest manifest = read_manifest(flags.options.running.model);
  plan.model = fs::absolute(flags.options.running.model).lexically_normal();
  plan.model_sha256 = manifest.sha256;
  for (const std::string& note : notes) std::cerr << "steplapse: " << note << std::endl;
}

// ---- sweep

void add_flags(CLI::App& command, SweepFlags& flags) {
  command.description(kSweepAbout);
  command.footer("Parts of a sweep:\n" + command_lines(commands(), "sweep ") + "\n" + kSweepExamples);
  add_plan_flags(command, flags);
  add_sweep_run_flags(command, flags.options, flags.run);
  add_help_flags(command);
}

void read_sweep(const CLI::App& command, SweepFlags& flags) {
  read_plan(command, flags);
  read_sweep_run(command, flags.options, flags.run);
}

int act_on_sweep(const CLI::App& command, SweepFlags& flags) {
  json_errors(command, [&] { return read_sweep(command, flags), 0; });
  return run_sweep(flags.options);
}

// ---- sweep plan

void add_plan_command_flags(CLI::App& command, SweepFlags& flags) {
  command.description("Writes the plan of a sweep, which steplapse sweep run runs, here or in parts on other machines");
  add_plan_flags(command, flags);
  const char* group = "Running";
  command.add_option("--out", flags.plan_file, "The plan's file, as plan.json")
      ->type_name("FILE")
      ->group(group)
      ->required();
  command.add_flag("--overwrite", flags.overwrite, "Replace the file that is there")->group(group);
  add_model(command, group, flags.options.running, flags.run.readers);
  add_help_flags(command);
}

int write_plan(const CLI::App& command, SweepFlags& flags) {
  read_plan(command, flags);
  if (flags.plan_file.empty()) throw UsageError("--out '': expected a file's name");
  const SweepPlan& plan = flags.options.plan;
  const Manifest manifest = read_manifest(flags.options.running.model);
  const auto refused = look_through(plan, SweepCells(plan, manifest, setting_reader()));
  if (!refused.empty()) warn(refused_text(plan, refused));
  check_writable(flags.plan_file, flags.overwrite);
  write_whole(flags.plan_file, json_of(plan));
  std::cout << flags.plan_file << ": a plan of " << counted(static_cast<int64_t>(plan.cells()), "cell")
            << "; steplapse sweep run " << shell_quoted(escaped(flags.plan_file)) << " --out DIR runs it" << std::endl;
  return 0;
}

// ---- sweep run

void add_run_flags(CLI::App& command, SweepFlags& flags) {
  command.description("Runs a plan that sweep plan wrote, or a part of it");
  command.set_help_flag();
  command.add_option("PLAN", flags.plan_file, "The plan's file")->type_name("");
  add_sweep_run_flags(command, flags.options, flags.run);
  add_shard_flag(command, flags.run);
  add_help_flags(command);
}

void read_plan_file(const CLI::App& command, SweepFlags& flags) {
  if (flags.plan_file.empty()) throw UsageError("no PLAN; see " + command.get_name() + " --help");
  SweepRunOptions& options = flags.options;
  const std::string place = in_quotes(flags.plan_file);
  options.plan = sweep_plan_in(read_whole(flags.plan_file, kLargestPlan), place);
  read(flags.run.readers);
  if (command.count("--model") == 0) options.running.model = options.plan.model;
  const std::string found = read_manifest(options.running.model).sha256;
  if (options.plan.model_sha256.empty()) options.plan.model_sha256 = found;
  if (options.plan.model_sha256 != found)
    throw UsageError(place + ": is for a model with model.json " + options.plan.model_sha256.substr(0, 12) + ", " +
                     in_quotes(options.running.model.string()) + " has " + found.substr(0, 12) +
                     "; --model says where the plan's is");
  check_settings(options.plan, setting_reader(), place);
}

void say_plan(const SweepFlags& flags) {
  const SweepPlan& plan = flags.options.plan;
  std::vector<std::string> axes;
  for (const SweepAxis& axis : plan.axes) axes.push_back(std::to_string(axis.points.size()) + " " + axis.name);
  std::cerr << "steplapse: " << in_quotes(flags.plan_file) << ": a plan of "
            << counted(static_cast<int64_t>(plan.cells()), "cell")
            << (axes.empty() ? "" : ": " + escaped(joined(axes, " x "), 200)) << std::endl;
}

int run_plan(const CLI::App& command, SweepFlags& flags) {
  json_errors(command, [&] {
    read_plan_file(command, flags);
    read_sweep_run(command, flags.options, flags.run);
    return 0;
  });
  say_plan(flags);
  return run_sweep(flags.options);
}

const std::vector<std::string> kSweepCommonFlags{
    "--prompts",         "--seed", "--count",   "--steps",        "--sampler",   "--schedule", "--guidance-scale",
    "--negative-prompt", "--size", "--replace", "--weight",       "--repeat",    "--zip",      "--skip-invalid",
    "--frames",          "--out",  "--dry-run", "--retry-failed", "--overwrite", "--model",    "--device"};

}  // namespace

Command sweep_command() {
  return with_flags<SweepFlags>({.name = "sweep",
                                 .arguments = "PROMPT...",
                                 .about = "Many pictures: every combination of settings",
                                 .group = CommandGroup::experiments,
                                 .common = kSweepCommonFlags,
                                 .exit_codes = kDrawingExitCodes},
                                add_flags, act_on_sweep);
}

Command sweep_plan_command() {
  return with_flags<SweepFlags>({.name = "sweep plan",
                                 .arguments = "PROMPT...",
                                 .about = "Write a sweep's plan to a file",
                                 .group = CommandGroup::experiments,
                                 .common = kSweepCommonFlags,
                                 .exit_codes = {0, 2, 3, 4}},
                                add_plan_command_flags, write_plan);
}

Command sweep_run_command() {
  return with_flags<SweepFlags>({.name = "sweep run",
                                 .arguments = "PLAN",
                                 .about = "Run a plan, or a shard of it",
                                 .group = CommandGroup::experiments,
                                 .exit_codes = kDrawingExitCodes},
                                add_run_flags, run_plan);
}

}  // namespace steplapse
