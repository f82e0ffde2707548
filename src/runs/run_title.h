#pragma once

#include <string>
#include <vector>

#include "base/png.h"
#include "runs/run_pictures.h"

namespace steplapse {

/// How a run was made, for people: "euler, 20 steps, guidance scale 3, seed 7, emoji-64"; and where it has no end how far its
/// log goes.
std::string settings_line(const RunPictures& run);

/// The texts of a picture that shows a whole run, as picture_texts has them for one of its frames.
/// @param kind  what it is, in place of a frame's kind: sheet, settled
std::vector<PngText> texts_of(const RunPictures& run, const std::string& kind);

}  // namespace steplapse
