#pragma once

#include <cstdint>

#include "steplapse/bundle.h"
#include "steplapse/engine.h"
#include "steplapse/recipe.h"

namespace steplapse {

/// How many runs may share a denoiser call so that it takes at most half of the memory that is left, by what one such
/// call takes; 1 to kMostAtOnce. It asks the network once, about the recipe's start.
int64_t batch_that_fits(const Bundle& bundle, const Recipe& recipe, const Guidance& guidance);

/// One call of the denoiser as a run of the recipe would make it, about these latents [1, C, h, w].
void ask_once(const Bundle& bundle, const Recipe& recipe, const Guidance& guidance, const Tensor& x);

/// Beyond it a call of more rows is no faster a row.
inline constexpr int64_t kMostAtOnce = 16;

/// The same, by bytes. @param bytes_each  0 where it can't be told
int64_t batch_that_fits(int64_t bytes_each, int64_t bytes_left);

}  // namespace steplapse
