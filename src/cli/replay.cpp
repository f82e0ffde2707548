#include "runs/replay.h"

#include <CLI/CLI.hpp>
#include <limits>

#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"

namespace steplapse {
namespace {

constexpr const char* kReplayAbout =
    R"(Makes a run again, asking the network again, and compares it with its log call by
call. A PNG of ours is made again from its settings and compared in pixels.

  steplapse replay runs/a --threads 2      are the last bits others with 2 threads?
  steplapse replay runs/a --model new      does a new export draw what the old one drew?
)";

struct ReplayFlags {
  ReplayOptions options;
  std::string what;
  Readers readers;
};

void add_flags(CLI::App& command, ReplayFlags& flags) {
  command.description(kReplayAbout);
  ReplayOptions& options = flags.options;
  command.add_option("RUN", flags.what, "The run's folder, or a PNG of a run")->type_name("")->required();
  const char* group = "Comparing";
  Binder bind(command, group, flags.readers);
  bind("--tolerance", "X", "How much latents and answers may differ, as a share of the largest number",
       options.tolerance, number(0, std::numeric_limits<double>::infinity()))
      ->default_str("1e-4");
  bind("--levels", "N", "How much a pixel of the final picture may differ, of 255", options.levels, integer(0, 255))
      ->default_str("1");
  command.add_flag("--json", options.json, "JSON in place of the text")->group(group);
  add_model_flags(command, "Running", options.running, flags.readers);
}

int run_replay(const CLI::App&, ReplayFlags& flags) {
  read(flags.readers);
  flags.options.what = flags.what;
  flags.options.usual_model = usual_model();
  return replay(flags.options);
}

}  // namespace

Command replay_command() {
  return with_flags<ReplayFlags>({.name = "replay",
                                  .arguments = "RUN|FRAME.png",
                                  .about = "Make a run again, and compare it with its log",
                                  .group = CommandGroup::go_on,
                                  .exit_codes = {0, 1, 2, 3, 4, 5, 6}},
                                 add_flags, run_replay);
}

}  // namespace steplapse
