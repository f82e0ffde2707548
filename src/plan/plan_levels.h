#pragma once

#include "plan/plan.h"
#include "plan/presets.h"

namespace steplapse {

// The parts of a plan that are about sampling. All throw UsageError: the flag, what was found, what was wanted.

/// Ours by its name, or another tool's with what that tool does by itself. What a name without its tool is taken for is a
/// warning.
Preset planned_preset(const std::string& name, std::vector<std::string>& warnings);

/// Eta, churn and scale of fresh noise: what is asked of a sampler that does not know it is refused.
SamplerOptions planned_options(const Sampler& sampler, const Settings& settings);

/// @param steps  that the run makes; none: nobody knows yet
GuidanceRule planned_guidance(const Manifest& manifest, const Settings& settings, std::optional<int64_t> steps);

/// A schedule's rule and all that it is asked for but the number of steps.
struct PlannedRule {
  const ScheduleRule& rule;
  TrainingNoise noise;  ///< the model's, with the user's shift
  ScheduleRequest request;
  std::vector<std::string> warnings = {};
};
PlannedRule planned_rule(const Manifest& manifest, const Settings& settings, const Preset& preset);

/// The levels; `plan` gets the schedule's name, the user's sigmas and rho, and warnings.
Schedule planned_schedule(const Manifest& manifest, const Settings& settings, const Preset& preset, Plan& plan);

}  // namespace steplapse
