#include "record/facts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/json_null.h"
#include "base/number_text.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

std::string text_of(const FreshNoise::Region& region) {
  std::string text;
  for (const int64_t number : {region.x, region.y, region.width, region.height})
    text += (text.empty() ? "" : ",") + std::to_string(number);
  return text;
}

/// What a branch has besides. A run that is none has no such keys.
ordered_json branch_json(const Facts& facts) {
  ordered_json branch{{"branched_after", facts.recipe.branched_after}};
  if (const auto& fresh = facts.fresh_noise) {
    branch["noise"] = fresh->amount;
    branch["noise_keeps_variance"] = static_cast<int64_t>(fresh->keep_variance);
    branch["noise_seed"] = fresh->seed;
    branch["noise_region"] = fresh->region ? ordered_json(text_of(*fresh->region)) : ordered_json();
  }
  return branch;
}

}  // namespace

void branch_off(Facts& facts, std::shared_ptr<const Facts> before, int64_t after_step) {
  facts.recipe.before = std::shared_ptr<const Recipe>(before, &before->recipe);
  facts.recipe.branched_after = after_step;
  facts.before = std::move(before);
}

ordered_json settings_json(const Facts& facts) {
  const Recipe& recipe = facts.recipe;
  const SamplerOptions& options = recipe.options;
  const GuidanceRule& guidance = recipe.guidance;
  ordered_json settings{
      {"prompt", facts.prompt},
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
  if (facts.before) settings.update(branch_json(facts));
  return settings;
}

namespace {

template <typename Value>
std::optional<Value> value_or_none(const nlohmann::json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<Value>());
}

/// What a log of version 1 lacks, its program did not know either.
class LoggedSettings {
 public:
  LoggedSettings(const nlohmann::json& settings, int64_t log_version) : settings_(settings), version_(log_version) {}
  const nlohmann::json& at(const char* key) const { return settings_.at(key); }
  nlohmann::json since_version_2(const char* key, const nlohmann::json& before) const {
    return version_ < 2 ? settings_.value(key, before) : settings_.at(key);
  }
  /// A setting that is null where it is infinite.
  double or_infinity(const char* key) const {
    return value_or_none<double>(since_version_2(key, nullptr)).value_or(std::numeric_limits<double>::infinity());
  }
  int64_t version() const { return version_; }

 private:
  const nlohmann::json& settings_;
  int64_t version_;
};

SamplerOptions sampler_options_of(const LoggedSettings& settings) {
  return {.eta = settings.at("eta"),
          .s_churn = settings.since_version_2("s_churn", 0),
          .s_tmin = settings.since_version_2("s_tmin", 0),
          .s_tmax = settings.or_infinity("s_tmax"),
          .s_noise = settings.since_version_2("s_noise", 1),
          .clip_sample_range = value_or_none<double>(settings.at("clip_sample_range"))};
}

GuidanceRule guidance_of(const LoggedSettings& settings) {
  GuidanceRule guidance{.scale = settings.at("guidance_scale"),
                        .first_step = settings.since_version_2("guidance_first_step", 1),
                        .last_step = value_or_none<int64_t>(settings.since_version_2("guidance_last_step", nullptr))
                                         .value_or(GuidanceRule::kNoLastStep),
                        .sigma_low = settings.since_version_2("guidance_sigma_low", 0),
                        .sigma_high = settings.or_infinity("guidance_sigma_high"),
                        .rescale = settings.since_version_2("guidance_rescale", 0)};
  if (settings.version() < 3) guidance.scale = std::max(1.0, guidance.scale);
  return guidance;
}

/// A number that a log keeps as text: SQLite's integers end at 2^63.
uint64_t seed_of(const nlohmann::json& seed) {
  return seed.is_string() ? whole_number<uint64_t>(seed.get<std::string>()) : seed.get<uint64_t>();
}

FreshNoise::Region region_of(const std::string& text) {
  std::istringstream numbers(text);
  FreshNoise::Region region{};
  char comma;
  numbers >> region.x >> comma >> region.y >> comma >> region.width >> comma >> region.height;
  if (!numbers) throw std::invalid_argument("noise_region " + text);
  return region;
}

std::optional<FreshNoise> fresh_noise_of(const nlohmann::json& settings, Rng rng) {
  if (!settings.contains("noise")) return std::nullopt;
  FreshNoise fresh{.amount = settings.at("noise"),
                   .keep_variance = settings.at("noise_keeps_variance") == 1,
                   .rng = rng,
                   .seed = seed_of(settings.at("noise_seed"))};
  if (const auto& region = settings.at("noise_region"); !region.is_null()) fresh.region = region_of(region);
  return fresh;
}

}  // namespace

Facts facts_of(const nlohmann::json& logged, int64_t log_version) {
  const LoggedSettings settings(logged, log_version);
  Facts facts;
  facts.prompt = settings.at("prompt");
  facts.negative_prompt = value_or_none<std::string>(settings.at("negative_prompt"));
  facts.prompt_syntax = settings.at("prompt_syntax");
  facts.width = settings.at("width");
  facts.height = settings.at("height");
  facts.schedule = settings.at("schedule");
  facts.sigma_min = value_or_none<double>(settings.since_version_2("sigma_min", nullptr));
  facts.sigma_max = value_or_none<double>(settings.since_version_2("sigma_max", nullptr));
  facts.rho = value_or_none<double>(settings.since_version_2("rho", nullptr));
  facts.shift = value_or_none<double>(settings.since_version_2("shift", nullptr));
  Recipe& recipe = facts.recipe;
  recipe.sampler = settings.at("sampler");
  recipe.options = sampler_options_of(settings);
  recipe.prediction_type = prediction_type_named(settings.at("prediction_type").get<std::string>());
  recipe.guidance = guidance_of(settings);
  recipe.rng = rng_named(settings.at("rng").get<std::string>());
  recipe.seed = seed_of(settings.at("seed"));
  facts.fresh_noise = fresh_noise_of(logged, recipe.rng);
  return facts;
}

}  // namespace steplapse
