#pragma once

#include <vector>

#include "runs/run_pictures.h"
#include "views/report/report.h"

namespace steplapse {

/// The command that makes a run again: `generate` with its settings as flags; `replay` where flags can't say them all, as of
/// a branch, or of levels or latents of the user's own.
std::vector<CommandPart> command_again(const RunPictures& run);

}  // namespace steplapse
