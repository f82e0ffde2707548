#include "cli/frame_flags.h"

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "cli/flag_values.h"
#include "steplapse/error.h"

namespace steplapse {

void add_frame_flags(CLI::App& command, const std::string& group, FrameFlags& flags, FrameSelection& frames) {
  command
      .add_option(
          "--frames", flags.kinds,
          "x0 (what the model thinks the picture is), xt (the noisy latents), diff and signed_diff (what changed "
          "in x0), cond and uncond (x0 by one answer alone); several as x0,xt; or none")
      ->type_name("KINDS")
      ->group(group)
      ->capture_default_str();
  Binder bind(command, group, flags.readers);
  bind("--every", "N", "A frame every N steps, and of the first and the last one", frames.every, integer(1));
  bind("--at", "LIST", "Frames of these steps alone, as 1,5,30", frames.at, steps_of);
  bind("--from", "N", "No frames before this step", frames.from, integer(0));
  bind("--to", "N", "No frames after this step", frames.to, integer(0));
  bind("--number", "HOW", "What a frame's file is numbered by: steps, or frames (1, 2, 3 without gaps, for films)",
       frames.count_files,
       [](const std::string& flag, const std::string& text) {
         return choice_of(flag, text, {"steps", "frames"}) == "frames";
       })
      ->default_str("steps");
}

void read_frames(const CLI::App& command, const FrameFlags& flags, FrameSelection& frames) {
  std::vector<std::string> choices;
  for (const FrameKind kind : frame_kinds()) choices.emplace_back(name_of(kind));
  choices.emplace_back("none");
  frames.kinds.clear();
  const std::vector<std::string> kinds = list_of(flags.kinds);
  for (const std::string& kind : kinds) {
    if (choice_of("--frames", kind, choices) != "none") frames.kinds.insert(frame_kind_named(kind));
  }
  const bool none = frames.kinds.empty();
  if (std::count(kinds.begin(), kinds.end(), "none") > 0 && kinds.size() > 1)
    throw UsageError("--frames " + in_quotes(flags.kinds) + ": none stands alone");
  for (const std::string flag : {"--every", "--at", "--from", "--to", "--number"}) {
    if (command.count(flag) == 0) continue;
    if (none) throw UsageError(flag + ": there are no frames with --frames none");
    if (command.count("--at") > 0 && flag != "--at" && flag != "--number") {
      throw UsageError("--at names the steps already; leave out " + flag);
    }
  }
  read(flags.readers);
}

}  // namespace steplapse
