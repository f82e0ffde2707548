#pragma once

#include <cstdint>
#include <string>

#include "steplapse/engine.h"
#include "steplapse/noise.h"
#include "steplapse/sampler.h"
#include "steplapse/schedule.h"

namespace steplapse {

/// What a trajectory is made from: together with the network's answers it fixes each step. The log keeps it, so that a
/// run can be replayed.
struct Recipe {
  std::string sampler;  ///< the name of a row of samplers()
  SamplerOptions options;
  Schedule schedule;
  PredictionType prediction_type = PredictionType::epsilon;
  GuidanceRule guidance;
  Rng rng = Rng::cpu;
  uint64_t seed = 0;
  Tensor init_noise;              ///< float32 [1, C, h, w] of unit variance
  bool init_noise_given = false;  ///< by the user; then the seed's stream has not been drawn from yet
};

/// The recipe's sampler, not yet resumed. The guidance is not used here: the engine takes it.
/// @throws std::invalid_argument  no sampler has the recipe's name
Trajectory start(const Recipe& recipe);

}  // namespace steplapse
