#pragma once

#include <string>
#include <vector>

#include "base/png.h"
#include "record/facts.h"
#include "steplapse/manifest.h"
#include "views/frames.h"

namespace steplapse {

/// What a picture says about itself: `parameters`, the text that web UIs read (A1111's form), and `steplapse`, a JSON
/// object with step, kind, timestep, alpha, sigma, decoder and the run's settings. No date and no duration: the same
/// run gives the same bytes.
std::vector<PngText> picture_texts(const Manifest& manifest, const Facts& facts, const std::string& decoder,
                                   const FrameOrder& order);

}  // namespace steplapse
