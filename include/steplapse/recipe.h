#pragma once

#include <cstdint>
#include <map>
#include <memory>
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

  /// Of a branch: the recipe that its first steps, up to `branched_after`, were made by. Null: this one makes all steps. It
  /// has this one's noise and seed.
  std::shared_ptr<const Recipe> before = {};
  int64_t branched_after = 0;  ///< the last step by `before`; levels[branched_after] is the level that it reached

  /// Whether a branch begins with a sampler of its own, without the history of the one before. Else its trajectory goes on.
  bool restarts() const;
};

/// The levels that the recipe's sampler is given: all of them, or those of a branch from the step that it begins with.
Schedule own_schedule(const Recipe& recipe);

/// The guidance rule of each step: a rule, by the first step that it holds for.
std::map<int64_t, GuidanceRule> guidance_rules(const Recipe& recipe);
GuidanceRule guidance_rule(const Recipe& recipe, int64_t step);  ///< the rule of one step
GuidanceBySteps bare_guidance(const Recipe& recipe);  ///< the rules without conditioning, where all answers are known

/// The recipe's sampler, not yet resumed. The guidance is not used here: the engine takes it.
///
/// A sampler that restarts in a branch draws its noise from the same stream, beyond all that the steps before can have
/// drawn.
/// @throws std::invalid_argument  no sampler has the recipe's name
Trajectory start(const Recipe& recipe);

}  // namespace steplapse
