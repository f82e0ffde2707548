#pragma once

#include "plan/plan.h"
#include "plan/presets.h"

namespace steplapse {

// The parts of a plan that are about sampling. All throw UsageError: the setting, what was found, what was expected.

/// The sampler of this name, or what another tool does for its name. Warns what a name without its tool is taken for.
Preset planned_preset(const std::string& name, std::vector<std::string>& warnings);

/// Eta, churn and the scale of fresh noise. Refuses a setting that the sampler does not honour.
SamplerOptions planned_options(const Sampler& sampler, const Settings& settings);

/// @param steps  the number that the run will make; none: not known yet
GuidanceRule planned_guidance(const Manifest& manifest, const Settings& settings, std::optional<int64_t> steps);

/// A schedule's rule, and its request without the number of steps.
struct PlannedRule {
  const ScheduleRule& rule;
  TrainingNoise noise;  ///< the model's, with the user's shift
  ScheduleRequest request;
  std::vector<std::string> warnings = {};
};
PlannedRule planned_rule(const Manifest& manifest, const Settings& settings, const Preset& preset);

/// The noise levels of a run. Puts the schedule's name, the user's sigmas and rho, and warnings into `plan`.
Schedule planned_schedule(const Manifest& manifest, const Settings& settings, const Preset& preset, Plan& plan);

}  // namespace steplapse
