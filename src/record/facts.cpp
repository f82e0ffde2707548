#include "record/facts.h"

#include <algorithm>
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

Recipe recipe_of(const nlohmann::json& facts, int64_t log_version) {
  // What a log of version 1 lacks, its program did not know either.
  const auto since_version_2 = [&](const char* key, const nlohmann::json& before) {
    return log_version < 2 ? facts.value(key, before) : facts.at(key);
  };
  Recipe recipe;
  recipe.sampler = facts.at("sampler");
  recipe.options.eta = facts.at("eta");
  recipe.options.s_churn = since_version_2("s_churn", 0);
  recipe.options.s_tmin = since_version_2("s_tmin", 0);
  if (const auto s_tmax = since_version_2("s_tmax", nullptr); !s_tmax.is_null()) recipe.options.s_tmax = s_tmax;
  recipe.options.s_noise = since_version_2("s_noise", 1);
  if (!facts.at("clip_sample_range").is_null()) recipe.options.clip_sample_range = facts.at("clip_sample_range");
  recipe.prediction_type = prediction_type_named(facts.at("prediction_type").get<std::string>());
  GuidanceRule& guidance = recipe.guidance;
  guidance.scale = facts.at("guidance_scale");
  if (log_version < 3) guidance.scale = std::max(1.0, guidance.scale);
  guidance.first_step = since_version_2("guidance_first_step", 1);
  if (const auto last = since_version_2("guidance_last_step", nullptr); !last.is_null()) guidance.last_step = last;
  guidance.sigma_low = since_version_2("guidance_sigma_low", 0);
  if (const auto high = since_version_2("guidance_sigma_high", nullptr); !high.is_null()) guidance.sigma_high = high;
  guidance.rescale = since_version_2("guidance_rescale", 0);
  recipe.rng = rng_named(facts.at("rng").get<std::string>());
  recipe.seed = std::stoull(facts.at("seed").get<std::string>());
  return recipe;
}

}  // namespace steplapse
