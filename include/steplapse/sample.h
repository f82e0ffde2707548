#pragma once

#include <functional>

#include "steplapse/bundle.h"
#include "steplapse/sampler.h"
#include "steplapse/settings.h"

namespace steplapse {

/// Samples a picture and shows each step to `on_step`, which may end the run there by returning false (the result is
/// then the step's x0). Writes nothing. For one's own code beside each step; `run` is what the program does.
///
/// @return latents [1, C, h, w] for bundle.decode
/// @throws UsageError  settings that the bundle can't meet; what the network or `on_step` throws.
Tensor sample(const Bundle& bundle, const Settings& settings, const std::function<bool(const Step&)>& on_step);

}  // namespace steplapse
