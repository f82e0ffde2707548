#include "studies/compare.h"

#include <CLI/CLI.hpp>
#include <limits>

#include "base/text.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr const char* kCompareAbout = R"(Compares runs with the first of them, from their logs: settings, x0 on the way,
and the final pictures.

  steplapse compare runs/a runs/b --out both.png
)";

struct CompareFlags {
  CompareOptions options;
  std::vector<std::string> runs;
  Readers readers;
};

Alignment alignment_of(const std::string& flag, const std::string& text) {
  return choice_of(flag, text, {"sigma", "step"}) == "sigma" ? Alignment::sigma : Alignment::step;
}

void add_flags(CLI::App& command, CompareFlags& flags) {
  command.description(kCompareAbout);
  CompareOptions& options = flags.options;
  command.add_option("RUN", flags.runs, "The runs' folders, two or more")->type_name("")->required();
  const char* group = "Comparing";
  Binder bind(command, group, flags.readers);
  bind("--align", "HOW", "What stands side by side: x0 at the same sigma, or at the same step", options.alignment,
       alignment_of)
      ->default_str("sigma");
  bind("--threshold", "X", "What counts as another x0, as a share of the rms of a run's end", options.share,
       number(0, 1))
      ->default_str("0.1");
  bind("--max-distance", "X",
       "Exit code 1 where a run ends further from the first: rms of latents, or of pixels where models differ",
       options.max_distance, number(0, std::numeric_limits<double>::infinity()));
  bind("--decoder", "NAME", "Decode x0 at each point, and compare the pictures too", options.decoder, as_it_is);
  bind("--out", "FILE", "Draw them side by side, as a PNG", options.sheet, as_it_is);
  bind("--csv", "FILE", "Write a row for each point and run", options.csv, as_it_is);
  command.add_flag("--overwrite", options.overwrite, "Replace the files that are there")->group(group);
  command.add_flag("--json", options.json, "JSON in place of the table")->group(group);
  add_model_flags(command, "Decoding", options.running, flags.readers);
}

int run_compare(const CLI::App&, CompareFlags& flags) {
  read(flags.readers);
  CompareOptions& options = flags.options;
  if (flags.runs.size() < 2) throw UsageError("one RUN is nothing to compare; name two or more");
  options.runs.assign(flags.runs.begin(), flags.runs.end());
  if (!options.sheet.empty() && options.sheet.extension() != ".png")
    throw UsageError("--out " + in_quotes(options.sheet.string()) + ": expected the name of a .png");
  options.usual_model = usual_model();
  return compare(options);
}

}  // namespace

Command compare_command() {
  return with_flags<CompareFlags>({.name = "compare",
                                   .arguments = "RUN RUN...",
                                   .about = "Show where runs part: settings, x0 on the way, pictures",
                                   .group = CommandGroup::look,
                                   .exit_codes = {0, 1, 2, 3, 4, 5}},
                                  add_flags, run_compare);
}

}  // namespace steplapse
