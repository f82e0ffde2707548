#include "record/facts.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace steplapse {
namespace {

using nlohmann::ordered_json;

/// JSON and SQL have no infinity.
template <typename Value>
ordered_json or_null(const std::optional<Value>& value) {
  return value ? ordered_json(*value) : ordered_json();
}
ordered_json finite_or_null(double value) { return std::isfinite(value) ? ordered_json(value) : ordered_json(); }

}  // namespace

ordered_json settings_json(const Facts& facts) {
  const Recipe& recipe = facts.recipe;
  const SamplerOptions& options = recipe.options;
  const GuidanceRule& guidance = recipe.guidance;
  return {{"prompt", facts.prompt},
          {"negative_prompt", or_null(facts.negative_prompt)},
          {"prompt_syntax", facts.prompt_syntax},
          {"seed", recipe.seed},
          {"rng", name_of(recipe.rng)},
          {"steps", facts.steps()},
          {"sampler", recipe.sampler},
          {"schedule", facts.schedule},
          {"sigma_min", or_null(facts.sigma_min)},
          {"sigma_max", or_null(facts.sigma_max)},
          {"rho", or_null(facts.rho)},
          {"shift", or_null(facts.shift)},
          {"eta", options.eta},
          {"s_churn", options.s_churn},
          {"s_tmin", options.s_tmin},
          {"s_tmax", finite_or_null(options.s_tmax)},
          {"s_noise", options.s_noise},
          {"guidance_scale", guidance.scale},
          {"guidance_first_step", guidance.first_step},
          {"guidance_last_step", guidance.stops_early() ? ordered_json(guidance.last_step) : ordered_json()},
          {"guidance_sigma_low", guidance.sigma_low},
          {"guidance_sigma_high", finite_or_null(guidance.sigma_high)},
          {"guidance_rescale", guidance.rescale},
          {"clip_sample_range", or_null(options.clip_sample_range)},
          {"prediction_type", name_of(recipe.prediction_type)},
          {"width", facts.width},
          {"height", facts.height}};
}

}  // namespace steplapse
