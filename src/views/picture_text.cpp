#include "views/picture_text.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/text.h"
#include "sampling/schedule_json.h"
#include "steplapse/version.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

/// A value for A1111's comma-separated list, quoted where it would otherwise end the list or the line.
std::string listed(const std::string& value) {
  return value.find_first_of(",:\n\"") == std::string::npos ? value : ordered_json(value).dump();
}

/// Whether a prompt has brackets. Web UIs read them as weights unless the text says otherwise.
bool has_brackets(const Facts& facts) {
  return (facts.prompt + facts.negative_prompt.value_or("")).find_first_of("([") != std::string::npos;
}

/// The schedule in A1111's words, which lack diffusers' three spacings.
std::string schedule_type(const Facts& facts) {
  std::string text;
  const auto rule = std::find_if(schedules().begin(), schedules().end(),
                                 [&](const ScheduleRule& known) { return known.name == facts.schedule; });
  if (rule != schedules().end() && !rule->label.empty()) text += ", Schedule type: " + std::string(rule->label);
  if (facts.sigma_max) text += ", Schedule max sigma: " + plain(*facts.sigma_max);
  if (facts.sigma_min) text += ", Schedule min sigma: " + plain(*facts.sigma_min);
  if (facts.rho) text += ", Schedule rho: " + plain(*facts.rho);
  if (facts.shift) text += ", Shift: " + plain(*facts.shift);
  return text;
}

/// The options that differ from the sampler's defaults.
std::string sampler_options(const Recipe& recipe) {
  const SamplerOptions usual{.eta = sampler_named(recipe.sampler).eta.value_or(0)};
  std::string text;
  const auto add = [&](const char* name, double value, double usual_value) {
    if (value != usual_value) text += std::string(", ") + name + ": " + plain(value);
  };
  add("Eta", recipe.options.eta, usual.eta);
  add("Sigma churn", recipe.options.s_churn, usual.s_churn);
  add("Sigma tmin", recipe.options.s_tmin, usual.s_tmin);
  add("Sigma tmax", recipe.options.s_tmax, usual.s_tmax);
  add("Sigma noise", recipe.options.s_noise, usual.s_noise);
  return text;
}

/// The interval and the rescale of guidance, where they are used. Web UIs have no common words for them.
std::string guidance_words(const Facts& facts) {
  const GuidanceRule& rule = facts.recipe.guidance;
  std::string text;
  if (rule.first_step > 1 || rule.stops_early()) {
    text += ", CFG steps: " + std::to_string(rule.first_step) + "-" +
            (rule.stops_early() ? std::to_string(rule.last_step) : "");
  }
  if (rule.sigma_low > 0 || std::isfinite(rule.sigma_high)) {
    text += ", CFG sigmas: " + plain(rule.sigma_low) + "-" + plain(rule.sigma_high);
  }
  if (rule.rescale > 0) text += ", CFG rescale: " + plain(rule.rescale);
  return text;
}

std::string parameters(const Manifest& manifest, const Facts& facts, const FrameRequest& frame) {
  const Recipe& recipe = facts.recipe;
  std::ostringstream text;
  text << facts.prompt << '\n';
  if (facts.negative_prompt && !facts.negative_prompt->empty())
    text << "Negative prompt: " << *facts.negative_prompt << '\n';
  text << "Steps: " << facts.steps() << ", Sampler: " << sampler_named(recipe.sampler).label << schedule_type(facts)
       << ", CFG scale: " << plain(recipe.guidance.scale) << guidance_words(facts) << ", Seed: " << recipe.seed
       << ", Size: " << facts.width << 'x' << facts.height << ", Model hash: " << manifest.sha256.substr(0, 10)
       << ", Model: " << listed(manifest.name);
  if (manifest.clip_skip != 1) text << ", Clip skip: " << manifest.clip_skip;
  if (facts.prompt_syntax == "plain" && has_brackets(facts)) text << ", Emphasis: None";
  text << sampler_options(recipe);
  text << ", RNG: " << (recipe.rng == Rng::cpu ? "CPU" : "NV");
  if (frame.kind != FrameKind::final) text << ", Step: " << frame.step;
  text << ", Version: steplapse " << STEPLAPSE_VERSION;
  return text.str();
}

}  // namespace

std::vector<PngText> picture_texts(const Manifest& manifest, const Facts& facts, const std::string& decoder,
                                   const FrameRequest& frame, const Manifest* other) {
  ordered_json about{
      {"version", STEPLAPSE_VERSION}, {"step", frame.step}, {"kind", name_of(frame.kind)}, {"timestep", nullptr}};
  if (frame.level.timestep) about["timestep"] = *frame.level.timestep;
  about.update({{"alpha", frame.level.alpha}, {"sigma", frame.level.sigma}, {"decoder", decoder}});
  if (other) about.update({{"decoder_model", other->name}, {"decoder_model_sha256", other->sha256}});
  if (is_diff(frame.kind)) {
    about["compared_step"] = frame.before.value().step;
    about["scale"] = frame.kind == FrameKind::diff ? kHeatMapScale : kSignedMapScale;
  }
  ordered_json settings = settings_json(facts);
  for (const char* of_the_model : {"clip_sample_range", "prediction_type"}) settings.erase(of_the_model);
  settings.update(
      {{"latents_given", facts.recipe.init_noise_given}, {"model", manifest.name}, {"model_sha256", manifest.sha256}});
  about["settings"] = settings;
  about["levels"] = schedule_to_json(facts.recipe.schedule);
  return {{"parameters", parameters(manifest, facts, frame)}, {"steplapse", about.dump()}};
}

}  // namespace steplapse
