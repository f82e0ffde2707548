#include "picture_text.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "steplapse/text.h"
#include "version.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

/// A value in A1111's comma-separated list is quoted where it would end the list or the line.
std::string listed(const std::string& value) {
  return value.find_first_of(",:\n\"") == std::string::npos ? value : ordered_json(value).dump();
}

/// Web UIs weigh brackets unless the text says otherwise.
bool has_brackets(const Plan& plan) {
  return (plan.prompt + plan.negative_prompt.value_or("")).find_first_of("([") != std::string::npos;
}

/// In A1111's words, which has none for diffusers' three spacings.
std::string schedule_type(const Plan& plan) {
  std::string text;
  const auto rule = std::find_if(schedules().begin(), schedules().end(),
                                 [&](const ScheduleRule& known) { return known.name == plan.schedule; });
  if (rule != schedules().end() && !rule->label.empty()) text += ", Schedule type: " + std::string(rule->label);
  if (plan.sigma_max) text += ", Schedule max sigma: " + plain(*plan.sigma_max);
  if (plan.sigma_min) text += ", Schedule min sigma: " + plain(*plan.sigma_min);
  if (plan.rho) text += ", Schedule rho: " + plain(*plan.rho);
  if (plan.shift) text += ", Shift: " + plain(*plan.shift);
  return text;
}

/// Those that are not what the sampler has by itself.
std::string sampler_options(const Recipe& recipe) {
  const SamplerOptions usual{.eta = sampler_named(recipe.sampler).eta.value_or(0)};
  std::string text;
  const auto add = [&](const char* name, double value, double unsaid) {
    if (value != unsaid) text += std::string(", ") + name + ": " + plain(value);
  };
  add("Eta", recipe.options.eta, usual.eta);
  add("Sigma churn", recipe.options.s_churn, usual.s_churn);
  add("Sigma tmin", recipe.options.s_tmin, usual.s_tmin);
  add("Sigma tmax", recipe.options.s_tmax, usual.s_tmax);
  add("Sigma noise", recipe.options.s_noise, usual.s_noise);
  return text;
}

/// Where guidance is not everywhere, or not as it comes. Web UIs have no common words for it.
std::string guidance_words(const Plan& plan) {
  const GuidanceRule& rule = plan.recipe.guidance;
  std::string text;
  if (rule.first_step > 1 || rule.stops_early()) {
    text += ", CFG steps: " + std::to_string(rule.first_step) + "-" + (rule.stops_early() ? std::to_string(rule.last_step) : "");
  }
  if (rule.sigma_low > 0 || std::isfinite(rule.sigma_high)) {
    text += ", CFG sigmas: " + plain(rule.sigma_low) + "-" + plain(rule.sigma_high);
  }
  if (rule.rescale > 0) text += ", CFG rescale: " + plain(rule.rescale);
  return text;
}

std::string parameters(const Manifest& manifest, const Plan& plan, const FrameOrder& order) {
  const Recipe& recipe = plan.recipe;
  std::ostringstream text;
  text << plan.prompt << '\n';
  if (plan.negative_prompt && !plan.negative_prompt->empty()) text << "Negative prompt: " << *plan.negative_prompt << '\n';
  text << "Steps: " << plan.steps() << ", Sampler: " << sampler_named(recipe.sampler).label
       << schedule_type(plan) << ", CFG scale: " << plain(recipe.guidance.scale) << guidance_words(plan) << ", Seed: " << recipe.seed << ", Size: " << plan.size.width
       << 'x' << plan.size.height << ", Model hash: " << manifest.sha256.substr(0, 10)
       << ", Model: " << listed(manifest.name);
  if (manifest.clip_skip != 1) text << ", Clip skip: " << manifest.clip_skip;
  if (plan.prompt_syntax == PromptSyntax::plain && has_brackets(plan)) text << ", Emphasis: None";
  text << sampler_options(recipe);
  text << ", RNG: " << (recipe.rng == Rng::cpu ? "CPU" : "NV");
  if (order.kind != "final") text << ", Step: " << order.step;
  text << ", Version: steplapse " << kVersion;
  return text.str();
}

ordered_json or_null(const std::optional<double>& value) { return value ? ordered_json(*value) : ordered_json(); }

ordered_json settings_json(const Manifest& manifest, const Plan& plan) {
  const Recipe& recipe = plan.recipe;
  ordered_json settings{{"prompt", plan.prompt}, {"negative_prompt", nullptr}};
  if (plan.negative_prompt) settings["negative_prompt"] = *plan.negative_prompt;
  settings.update({{"prompt_syntax", name_of(plan.prompt_syntax)},
                   {"seed", recipe.seed},
                   {"rng", name_of(recipe.rng)},
                   {"steps", plan.steps()},
                   {"sampler", recipe.sampler},
                   {"schedule", plan.schedule},
                   {"sigma_min", or_null(plan.sigma_min)},
                   {"sigma_max", or_null(plan.sigma_max)},
                   {"rho", or_null(plan.rho)},
                   {"shift", or_null(plan.shift)},
                   {"eta", recipe.options.eta},
                   {"s_churn", recipe.options.s_churn},
                   {"s_tmin", recipe.options.s_tmin},
                   {"s_tmax", recipe.options.s_tmax},  // infinity is null
                   {"s_noise", recipe.options.s_noise},
                   {"guidance_scale", recipe.guidance.scale},
                   {"guidance_first_step", recipe.guidance.first_step},
                   {"guidance_last_step", nullptr},
                   {"guidance_sigma_low", recipe.guidance.sigma_low},
                   {"guidance_sigma_high", recipe.guidance.sigma_high},
                   {"guidance_rescale", recipe.guidance.rescale},
                   {"width", plan.size.width},
                   {"height", plan.size.height},
                   {"latents_given", recipe.init_noise_given},
                   {"model", manifest.name},
                   {"model_sha256", manifest.sha256}});
  if (recipe.guidance.stops_early()) settings["guidance_last_step"] = recipe.guidance.last_step;
  return settings;
}

}  // namespace

std::vector<PngText> picture_texts(const Manifest& manifest, const Plan& plan, const std::string& decoder,
                                   const FrameOrder& order) {
  ordered_json about{{"version", kVersion}, {"step", order.step}, {"kind", order.kind}, {"timestep", nullptr}};
  if (order.level.timestep) about["timestep"] = *order.level.timestep;
  about.update({{"alpha", order.level.alpha}, {"sigma", order.level.sigma}, {"decoder", decoder}});
  about["settings"] = settings_json(manifest, plan);
  return {{"parameters", parameters(manifest, plan, order)}, {"steplapse", about.dump()}};
}

}  // namespace steplapse
