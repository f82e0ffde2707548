#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "base/file_io.h"
#include "base/text.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "steplapse/error.h"
#include "studies/run_sheet.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostColumns = 200, kMostScale = 64;

struct SheetFlags {
  std::string run, file, map;
  std::vector<std::string> others;
  bool overwrite = false;
  SheetOptions options;
  Readers readers;
};

constexpr const char* kSheetExamples = R"(Examples:
  steplapse sheet RUN steps.png                          eight steps of the run, x0 above xt
  steplapse sheet RUN steps.png --columns 5 --rows x0,diff --pace change
  steplapse sheet RUN both.png --runs OTHER --rows x0    two runs at the same noise
  steplapse sheet RUN settled.png --map settled          when each pixel came to its colour
)";

/// "4", "1/2"
PictureScale scale_of(const std::string& flag, const std::string& text) {
  const bool is_smaller = text.starts_with("1/");
  try {
    const int64_t factor = integer_number(flag, is_smaller ? text.substr(2) : text, 1, kMostScale);
    return is_smaller ? PictureScale{.down = factor} : PictureScale{.up = factor};
  } catch (const UsageError&) {
    throw UsageError(flag + " " + in_quotes(text) + ": expected an integer from 1 to " + std::to_string(kMostScale) +
                     ", or 1/2, 1/3 ... for smaller");
  }
}

void read_rows(const std::string& flag, const std::string& text, SheetOptions& options) {
  std::vector<std::string> choices;
  for (const FrameKind kind : frame_kinds()) choices.emplace_back(name_of(kind));
  choices.emplace_back("latents");
  options.rows.clear();
  for (const std::string& row : list_of(text)) {
    if (choice_of(flag, row, choices) == "latents")
      options.latents = true;
    else
      options.rows.push_back(frame_kind_named(row));
  }
}

void add_flags(CLI::App& command, SheetFlags& flags) {
  command.description("Draws the steps of a run beside each other in one picture. The network is not asked");
  command.footer(kSheetExamples);
  command.add_option("RUN", flags.run, "The run's folder")->type_name("")->required();
  command.add_option("FILE", flags.file, "Where the sheet goes: a .png")->type_name("")->required();
  const char* group = "Sheet";
  SheetOptions& options = flags.options;
  command.add_option("--runs", flags.others, "Rows of these runs too, each at its steps nearest to RUN's noise")
      ->type_name("RUN")
      ->group(group);
  Binder bind(command, group, flags.readers);
  bind.with("--rows", "KINDS",
            "x0 (what the network takes the picture for), xt (the noisy latents, decoded), diff and signed_diff (what "
            "changed in x0), cond and uncond (x0 by one answer alone), latents (as they are, a grey picture for each "
            "channel)",
            [&](const std::string& flag, const std::string& text) { read_rows(flag, text, options); })
      ->default_str("x0,xt");
  bind("--columns", "N", "How many steps are shown", options.columns, integer(1, kMostColumns))->default_str("8");
  bind("--pace", "HOW", "What they lie evenly in: step, sigma (its logarithm), or change (of x0 so far)", options.pace,
       [](const std::string& flag, const std::string& text) {
         return pace_named(choice_of(flag, text, {"step", "sigma", "change"}));
       })
      ->default_str("step");
  bind("--map", "NAME", "In place of the steps: settled, the step from which on each pixel stays near its end",
       flags.map, [](const std::string& flag, const std::string& text) { return choice_of(flag, text, {"settled"}); });
  bind("--threshold", "N", "With --map settled: how near, in red, green and blue of 0 to 255", options.near,
       [](const std::string& flag, const std::string& text) {
         return static_cast<int>(integer_number(flag, text, 0, 255));
       })
      ->default_str(std::to_string(kNearColour));
  bind("--scale", "N", "Each pixel as a square of N, or 1/N for smaller pictures (what makes them 128 to 256 wide)",
       options.scale, scale_of);
  bind("--decoder", "NAME", "Which of the bundle's decoders makes the pictures (that of the run's frames)",
       options.pictures.decoder, as_it_is);
  command.add_flag("--overwrite", flags.overwrite, "Replace the file that is there")->group(group);
  add_model_flags(command, "Decoding", options.pictures.running, flags.readers);
  command.get_option("--threads")->description("CPU threads (as many as the run had)");
}

void check_together(const CLI::App& command, bool is_map) {
  for (const std::string flag : {"--runs", "--rows", "--columns", "--pace"}) {
    if (is_map && command.count(flag) > 0)
      throw UsageError(flag + ": --map shows one run whole; leave out one of the two");
  }
  if (!is_map && command.count("--threshold") > 0)
    throw UsageError("--threshold: is about --map settled; leave it out");
}

int run_sheet(const CLI::App& command, SheetFlags& flags) {
  read(flags.readers);
  const fs::path file = flags.file;
  if (lower_case(file.extension().string()) != ".png")
    throw UsageError(in_quotes(flags.file) + ": expected a file that ends in .png");
  SheetOptions& options = flags.options;
  options.settled = !flags.map.empty();
  check_together(command, options.settled);
  check_writable(file, flags.overwrite);
  options.run = flags.run;
  options.others.assign(flags.others.begin(), flags.others.end());
  options.pictures.usual_model = usual_model();
  write_whole(file, sheet_of_runs(options));
  std::cout << file.string() << std::endl;
  return 0;
}

}  // namespace

Command sheet_command() {
  return with_flags<SheetFlags>({.name = "sheet",
                                 .arguments = "RUN FILE",
                                 .about = "Draw the steps of runs, or when each pixel settled",
                                 .group = CommandGroup::look,
                                 .exit_codes = {0, 1, 2, 3, 4, 5}},
                                add_flags, run_sheet);
}

}  // namespace steplapse
