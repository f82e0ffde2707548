#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/binder.h"
#include "views/frame_selection.h"

namespace steplapse {

/// The flags that choose frames, as they were given.
struct FrameFlags {
  std::string kinds = "x0";
  Readers readers;
};

/// --frames, --every, --at, --from, --to and --number.
void add_frame_flags(CLI::App& command, const std::string& group, FrameFlags& flags, FrameSelection& frames);

/// @throws UsageError  a kind that does not exist, or flags that contradict each other
void read_frames(const CLI::App& command, const FrameFlags& flags, FrameSelection& frames);

}  // namespace steplapse
