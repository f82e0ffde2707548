#pragma once

#include <cstdint>
#include <optional>

#include "steplapse/noise.h"
#include "steplapse/sampler.h"

namespace steplapse {

/// Noise that a branch adds to the latents it begins with.
struct FreshNoise {
  double amount = 0;           ///< 0 or more; with keep_variance at most 1
  bool keep_variance = false;  ///< mixes the noise with that of x, whose variance stays; else adds to it
  Rng rng = Rng::cpu;
  uint64_t seed = 0;  ///< of a stream of its own
  /// Where it is added: a rectangle of latent elements. None: everywhere.
  struct Region {
    int64_t x, y, width, height;
  };
  std::optional<Region> region = std::nullopt;
};

/// The latents after a step with fresh noise n, of unit variance:
///
///   added    x' = x + amount * sigma * n
///   mixed    x' = alpha x0 + sigma (sqrt(1 - amount²) eps + amount n), where eps = (x - alpha x0) / sigma
///
/// Equal seeds give equal n, whatever the amount. At sigma 0 nothing changes.
Tensor with_fresh_noise(const Step& step, const FreshNoise& fresh);

}  // namespace steplapse
