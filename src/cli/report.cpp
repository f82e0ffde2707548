#include "studies/report.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/progress_line.h"
#include "base/text.h"
#include "base/wording.h"
#include "cli/binder.h"
#include "cli/command_again.h"
#include "cli/commands.h"
#include "cli/flags.h"

namespace steplapse {
namespace {

constexpr const char* kAbout = R"(Makes a page of runs that opens in any browser: frames with a slider, curves,
when the picture settled, what explain says, and how to make it again.

  steplapse report runs/a                        runs/a.html
  steplapse report runs/a runs/b --out ab.html   side by side, at the same sigma
  steplapse report runs/20-runs                  a grid of the runs in a folder
)";

struct ReportFlags {
  std::vector<std::string> paths;
  ReportOptions options;
  Readers readers;
};

void add_flags(CLI::App& command, ReportFlags& flags) {
  command.description(kAbout);
  ReportOptions& options = flags.options;
  command.add_option("RUN", flags.paths, "Runs' folders, or a folder with runs in it")->type_name("")->required();
  const char* group = "The page";
  Binder bind(command, group, flags.readers);
  bind("--out", "FILE", "The page, a .html (beside RUN); its numbers go beside it as .csv", options.out, as_it_is);
  bind("--folder", "DIR",
       "Keep the pictures in this folder beside the page, lossless (in the page, and lossy above 10 MB)",
       options.folder, as_it_is);
  bind("--decoder", "NAME", "Which of the bundle's decoders makes frames that are not there (that of the run's own)",
       options.decoder, as_it_is);
  command.add_flag("--overwrite", options.overwrite, "Replace the files that are there")->group(group);
  add_model_flags(command, "Decoding", options.running, flags.readers);
  command.get_option("--threads")->description("CPU threads (as many as the run had)");
}

std::string megabytes(size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

/// With a line of progress where somebody looks: pictures that are not there take a while to decode.
Reported with_progress(ReportOptions& options) {
  if (!isatty(STDERR_FILENO)) return report(options);
  ProgressLine line;
  options.warn = [&](const std::string& text) { line.say("steplapse: warning: " + worded(text)); };
  options.made = [&](double share, const std::string& what) { line.show(share, {what}); };
  try {
    Reported reported = report(options);
    line.end();
    return reported;
  } catch (...) {
    line.end();
    throw;
  }
}

int run_report(const CLI::App&, ReportFlags& flags) {
  read(flags.readers);
  ReportOptions& options = flags.options;
  options.paths.assign(flags.paths.begin(), flags.paths.end());
  options.usual_model = usual_model();
  options.command = command_again;
  options.warn = warn;
  const Reported reported = with_progress(options);
  std::cout << reported.page.string() << ": " << counted(static_cast<int64_t>(reported.runs), "run") << ", "
            << megabytes(reported.bytes) << ". " << reported.about_pictures << '\n'
            << reported.csv.string() << ": the numbers of all steps\n";
  return 0;
}

}  // namespace

Command report_command() {
  return with_flags<ReportFlags>({.name = "report",
                                  .arguments = "RUN...",
                                  .about = "Make a page of runs: frames, curves, explanation",
                                  .group = CommandGroup::look,
                                  .exit_codes = {0, 1, 2, 3, 4, 5}},
                                 add_flags, run_report);
}

}  // namespace steplapse
