#pragma once

#include <cstdint>
#include <string>

#include "steplapse/engine.h"
#include "steplapse/noise.h"
#include "steplapse/sampler.h"
#include "steplapse/schedule.h"

namespace steplapse {

/// All that fixes a trajectory but the network's answers. A log keeps it, so that a run can be made again.
struct Recipe {
  std::string sampler;  ///< a name of samplers()
  SamplerOptions options;
  Schedule schedule;
  PredictionType prediction_type = PredictionType::epsilon;
  GuidanceRule guidance;
  Rng rng = Rng::cpu;
  uint64_t seed = 0;
  Tensor init_noise;              ///< float32 [1, C, h, w] of unit variance
  bool init_noise_given = false;  ///< by the user: then nothing has been drawn from the seed's stream
};

/// The recipe's sampler at its start.
Trajectory start(const Recipe& recipe);

}  // namespace steplapse
