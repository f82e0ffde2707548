#include "picture_text.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "version.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

/// A value in A1111's comma-separated list is quoted where it would end the list or the line.
std::string listed(const std::string& value) {
  return value.find_first_of(",:\n\"") == std::string::npos ? value : ordered_json(value).dump();
}

std::string plain(double number) {
  std::ostringstream text;
  text << number;
  return text.str();
}

/// Web UIs weigh brackets unless the text says otherwise.
bool has_brackets(const Plan& plan) {
  return (plan.prompt + plan.negative_prompt.value_or("")).find_first_of("([") != std::string::npos;
}

std::string parameters(const Manifest& manifest, const Plan& plan, const FrameOrder& order) {
  const Recipe& recipe = plan.recipe;
  std::ostringstream text;
  text << plan.prompt << '\n';
  if (plan.negative_prompt && !plan.negative_prompt->empty()) text << "Negative prompt: " << *plan.negative_prompt << '\n';
  text << "Steps: " << plan.steps() << ", Sampler: " << sampler_named(recipe.sampler).label
       << ", CFG scale: " << plain(recipe.guidance_scale) << ", Seed: " << recipe.seed << ", Size: " << plan.size.width
       << 'x' << plan.size.height << ", Model hash: " << manifest.sha256.substr(0, 10)
       << ", Model: " << listed(manifest.name);
  if (manifest.clip_skip != 1) text << ", Clip skip: " << manifest.clip_skip;
  if (plan.prompt_syntax == PromptSyntax::plain && has_brackets(plan)) text << ", Emphasis: None";
  if (recipe.options.eta > 0) text << ", Eta: " << plain(recipe.options.eta);
  text << ", RNG: " << (recipe.rng == Rng::cpu ? "CPU" : "NV");
  if (order.kind != "final") text << ", Step: " << order.step;
  text << ", Version: steplapse " << kVersion;
  return text.str();
}

ordered_json settings_json(const Manifest& manifest, const Plan& plan) {
  const Recipe& recipe = plan.recipe;
  ordered_json settings{{"prompt", plan.prompt}, {"negative_prompt", nullptr}};
  if (plan.negative_prompt) settings["negative_prompt"] = *plan.negative_prompt;
  settings.update({{"prompt_syntax", name_of(plan.prompt_syntax)},
                   {"seed", recipe.seed},
                   {"rng", name_of(recipe.rng)},
                   {"steps", plan.steps()},
                   {"sampler", recipe.sampler},
                   {"schedule", name_of(plan.spacing)},
                   {"eta", recipe.options.eta},
                   {"guidance_scale", recipe.guidance_scale},
                   {"width", plan.size.width},
                   {"height", plan.size.height},
                   {"latents_given", recipe.init_noise_given},
                   {"model", manifest.name},
                   {"model_sha256", manifest.sha256}});
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
