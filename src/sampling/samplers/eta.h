#pragma once

#include <stdexcept>

#include "steplapse/sampler.h"

namespace steplapse {

/// @throws std::invalid_argument  eta is not from 0 to 1
inline void check_eta(const SamplerOptions& options) {
  if (!(options.eta >= 0 && options.eta <= 1)) throw std::invalid_argument("eta must be from 0 to 1");
}

}  // namespace steplapse
