#include "studies/sweep/sweep_summary.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "base/file_io.h"
#include "base/terminal.h"
#include "base/wording.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "studies/sweep/sweep_summary_report.h"

namespace steplapse {
namespace {

struct SweepSummaryFlags {
  std::string sweep;
  std::filesystem::path csv, plot;
  bool overwrite = false, json = false;
  SweepSummaryOptions options;
  Readers readers;
};

constexpr const char* kSweepSummaryExamples = R"(Examples:
  steplapse sweep summary DIR                                 which sampler, which schedule, how many steps
  steplapse sweep summary DIR --within 40 --plot cost.svg     nearer, and quality over cost as a picture
  steplapse sweep summary DIR --by guidance_scale             an answer for each guidance scale
)";

void add_flags(CLI::App& command, SweepSummaryFlags& flags) {
  command.description(
      "Says how many steps are enough: the fewest with which pictures come near to those of the most calls");
  command.footer(kSweepSummaryExamples);
  command.add_option("DIR", flags.sweep, "The sweep's folder, whole or not")->type_name("")->required();
  const char* group = "Summary";
  Binder bind(command, group, flags.readers);
  bind("--within", "DB", "How near 95 % of the pictures must come, as PSNR of the pixels; 30 dB is an rms of 8 of 255",
       flags.options.within, number(1, 100))
      ->default_str("30");
  const auto list = [](const std::string&, const std::string& text) { return list_of(text); };
  bind("--sampler", "LIST", "These samplers alone; one that draws fresh noise is compared with its own most calls",
       flags.options.samplers, list);
  bind("--by", "LIST", "Settings to tell apart beside sampler and schedule, as guidance_scale", flags.options.by, list);
  bind("--csv", "FILE", "Write a row for each sampler, schedule and number of steps", flags.csv, as_it_is);
  bind("--plot", "FILE", "Draw PSNR over denoiser calls, as .svg or .png", flags.plot, as_it_is);
  command.add_flag("--json", flags.json, "JSON in place of the table")->group(group);
  command.add_flag("--overwrite", flags.overwrite, "Replace the files that are there")->group(group);
}

int run_sweep_summary(const CLI::App&, SweepSummaryFlags& flags) {
  read(flags.readers);
  if (!flags.plot.empty()) check_plot_name(flags.plot);
  for (const auto& file : {flags.csv, flags.plot}) {
    if (!file.empty()) check_writable(file, flags.overwrite);
  }
  const Sweep sweep = sweep_in(flags.sweep);
  const SweepSummary summary = summary_of(sweep.rows, distances_in(sweep), flags.options);
  if (!flags.csv.empty()) write_whole(flags.csv, summary_csv(summary));
  if (!flags.plot.empty()) write_plots(flags.plot, {summary_plot(summary)});
  std::cout << (flags.json ? summary_json(summary) : worded(summary_table(summary, output_columns()))) << std::flush;
  return 0;
}

}  // namespace

Command sweep_summary_command() {
  return with_flags<SweepSummaryFlags>({.name = "sweep summary",
                                        .arguments = "DIR",
                                        .about = "Say which sampler, schedule and steps are enough",
                                        .group = CommandGroup::experiments,
                                        .exit_codes = {0, 2, 4}},
                                       add_flags, run_sweep_summary);
}

}  // namespace steplapse
