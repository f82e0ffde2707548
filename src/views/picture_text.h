#pragma once

#include <string>
#include <vector>

#include "base/png.h"
#include "record/facts.h"
#include "steplapse/manifest.h"
#include "views/frames.h"

namespace steplapse {

/// The texts in a picture: `parameters`, which web UIs read (in A1111's form), and `steplapse`, a JSON object with
/// step, kind, timestep, alpha, sigma, decoder and the run's settings. They have no date and no duration, so equal runs
/// give equal bytes.
/// @param manifest  of the bundle that the run was made with
/// @param other     of the bundle that has the decoder, where it is another one; else null
std::vector<PngText> picture_texts(const Manifest& manifest, const Facts& facts, const std::string& decoder,
                                   const FrameRequest& frame, const Manifest* other = nullptr);

}  // namespace steplapse
