#include "runs/render.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "base/text.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/frame_flags.h"
#include "record/run_folder.h"

namespace steplapse {
namespace {

struct RenderFlags {
  std::string run, out;
  FrameFlags frames;
  RenderOptions options;
  Readers readers;
};

constexpr const char* kRenderExamples = R"(Examples:
  steplapse render RUN --frames xt,diff --every 5    frames that the run lacks
  steplapse render RUN --decoder linear --out cheap  x0 by another decoder
)";

void add_flags(CLI::App& command, RenderFlags& flags) {
  command.description("Makes frames of a run from its log, without asking the network again");
  command.footer(kRenderExamples);
  command.add_option("RUN", flags.run, "The run's folder")->type_name("")->required();
  add_frame_flags(command, "Frames", flags.frames, flags.options.frames);
  Binder bind(command, "Frames", flags.readers);
  bind("--decoder", "NAME", "Which of the bundle's decoders makes them (that of the run's own)", flags.options.decoder,
       as_it_is);
  bind("--out", "DIR", "Where frames/ and final.png go (the run's folder)", flags.options.out, as_it_is);
  command.add_flag("--overwrite", flags.options.overwrite, "Replace the frames that are there")->group("Frames");
  add_model_flags(command, "Running", flags.options.running, flags.readers);
  command.get_option("--threads")->description("CPU threads (as many as the run had)");
}

void say(const Rendered& rendered) {
  std::string text = "rendered " + counted(rendered.frames, "frame");
  if (rendered.final) text += " and final.png";
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.1f s", rendered.total_seconds);
  text += " of " + counted(rendered.steps, "step") + " in " + seconds + " by " + rendered.model;
  if (rendered.frames > 0) text += "'s decoder '" + rendered.decoder + "'";
  std::cout << text << ": " << rendered.folder.string() << std::endl;
}

int run_render(const CLI::App& command, RenderFlags& flags) {
  read_frames(command, flags.frames, flags.options.frames);
  read(flags.readers);
  flags.options.run = existing_run(flags.run);
  flags.options.usual_model = usual_model();
  say(render(flags.options, warn));
  return 0;
}

}  // namespace

Command render_command() {
  return with_flags<RenderFlags>({.name = "render",
                                  .arguments = "RUN",
                                  .about = "Make frames of a run from its log",
                                  .group = CommandGroup::look,
                                  .exit_codes = {0, 1, 2, 3, 4, 5}},
                                 add_flags, run_render);
}

}  // namespace steplapse
