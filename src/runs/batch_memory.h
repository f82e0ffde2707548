#pragma once

#include <cstdint>

#include "steplapse/bundle.h"
#include "steplapse/engine.h"
#include "steplapse/recipe.h"

namespace steplapse {

/// The number of runs, 1 to kMostAtOnce, that may share a denoiser call so that the call takes at most half of the memory
/// that is left. Asks the network once, about the recipe's start, and measures what that takes.
int64_t batch_that_fits(const Bundle& bundle, const Recipe& recipe, const Guidance& guidance);

/// Makes one denoiser call about these latents, [1, C, h, w], as a run of the recipe would.
void ask_once(const Bundle& bundle, const Recipe& recipe, const Guidance& guidance, const Tensor& x);

/// Larger batches are no faster per row.
inline constexpr int64_t kMostAtOnce = 16;

/// The same number from bytes. @param bytes_each  of one run; 0 where it is not known
int64_t batch_that_fits(int64_t bytes_each, int64_t bytes_left);

}  // namespace steplapse
