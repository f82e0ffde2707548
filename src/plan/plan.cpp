#include "plan/plan.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/aten.h"
#include "base/shape_text.h"
#include "base/text.h"
#include "plan/plan_levels.h"
#include "plan/plan_prompts.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

Tensor checked_latents(const Tensor& latents, const std::vector<int64_t>& wanted) {
  if (latents.sizes() != at::IntArrayRef(wanted)) {
    throw UsageError("`latents`: 'latents' is " + shape_text(latents.sizes()) + ", this model and size want " +
                     shape_text(wanted));
  }
  // A copy: what was read may be a mapping of the user's file.
  const Tensor numbers = latents.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  if (!at::isfinite(numbers).all().item<bool>())
    throw UsageError("`latents`: 'latents' holds numbers that are not finite");
  return numbers;
}

/// The norm of n unit normal numbers is within t of its mean but for a share of 2 exp(-t^2 / 2), whatever n (Gaussian
/// concentration); with t = 7 that is one start in 10^10.
void warn_of_other_noise(const Tensor& latents, std::vector<std::string>& warnings) {
  const double bound = 7 / std::sqrt(static_cast<double>(latents.numel()));
  const double rms = latents.to(at::kDouble).square().mean().sqrt().item<double>();
  if (std::abs(rms - 1) <= bound) return;
  std::ostringstream text;
  text << "`latents`: 'latents' has rms " << rms << " and does not look like unit noise, which has "
       << std::max(0.0, 1 - bound) << " to " << 1 + bound << "; give it as it is before a sampler scales it";
  warnings.push_back(text.str());
}

/// Samplers with steps of their own: how many they make, and what they make of the levels, is said before.
void plan_own_steps(const Sampler& sampler, const Settings& settings, const Schedule& schedule, Plan& plan) {
  plan.made_steps = made_steps(sampler, schedule);
  if (!sampler.picks_levels) return;
  const std::string name(sampler.name);
  if (sampler.adaptive && settings.steps) {
    plan.warnings.push_back("the sampler " + name + " chooses how many steps it makes, whatever `steps` says");
  } else if (plan.made_steps && *plan.made_steps != schedule.steps()) {
    plan.warnings.push_back("the sampler " + name + " makes " + counted(*plan.made_steps, "step") +
                            " and asks the network " + counted(schedule.steps(), "time"));
  }
  if (settings.timesteps || settings.sigmas || settings.levels) {
    if (schedule.steps() >= sampler.picks_levels_from) {
      plan.warnings.push_back("the sampler " + name + " takes the ends of `" + plan.schedule +
                              "` and places its steps between them itself");
    }
  }
}

/// The log has latents in one piece each.
void check_fits_log(const std::vector<int64_t>& shape, const Plan& plan) {
  constexpr double kMost = 1e9;  // bytes: SQLite's limit, as Debian builds it
  double bytes = sizeof(float);
  for (const int64_t side : shape) bytes *= static_cast<double>(side);
  if (bytes > kMost)
    throw UsageError("`size` " + std::to_string(plan.width) + "x" + std::to_string(plan.height) +
                     ": its latents take " + plain(std::round(bytes / 1e7) / 100) +
                     " GB, and a run's log has room for 1 GB each");
}

Recipe make_recipe(const Manifest& manifest, const Settings& settings, const Plan& plan, const Sampler& sampler,
                   Schedule schedule, StartNoise start) {
  Recipe recipe;
  recipe.sampler = sampler.name;
  recipe.options = planned_options(sampler, settings);
  recipe.options.clip_sample_range = manifest.training_noise.clip_sample_range;
  recipe.schedule = std::move(schedule);
  recipe.prediction_type = manifest.training_noise.prediction_type;
  recipe.guidance = planned_guidance(manifest, settings, plan.made_steps);
  recipe.rng = settings.rng;
  recipe.seed = settings.seed.value_or(random_seed());

  const std::vector<int64_t> shape = latents_shape(manifest, {plan.width, plan.height});
  check_fits_log(shape, plan);
  recipe.init_noise_given = settings.latents.defined();
  if (recipe.init_noise_given) {
    recipe.init_noise = checked_latents(settings.latents, shape);
  } else if (start == StartNoise::drawn) {
    recipe.init_noise = Noise(recipe.rng, recipe.seed).draw(shape);
  }
  return recipe;
}

/// A scale below 1, which means something else elsewhere, a negative prompt that nobody asks about, and an interval of
/// sigmas that no level of the run lies in.
void warn_of_guidance(const Settings& settings, Plan& plan) {
  const Recipe& recipe = plan.recipe;
  const bool negative = plan.negative_prompt && !plan.negative_prompt->empty();
  const std::string scale =
      (settings.guidance_scale ? "`guidance_scale` " : "the bundle's guidance scale ") + plain(recipe.guidance.scale);
  if (recipe.guidance.scale < 1) {
    plan.warnings.push_back(scale +
                            (recipe.guidance.scale > 0
                                 ? " lies between no prompt, 0, and the prompt without guidance, 1"
                             : negative ? " ignores the prompt and draws the negative prompt"
                                        : " ignores the prompt") +
                            "; what diffusers calls " + plain(recipe.guidance.scale) + " is 1 here");
  }
  if (!recipe.guidance.guides() && negative) {
    plan.warnings.push_back("`negative_prompt` has no effect at guidance scale 1; raise `guidance_scale`");
  }
  const bool limited = recipe.guidance.sigma_low > 0 || std::isfinite(recipe.guidance.sigma_high);
  if (!recipe.guidance.guides() || !limited || !plan.made_steps) return;
  const auto questions = outline(sampler_named(recipe.sampler), recipe.options, recipe.schedule).questions;
  const bool anywhere = std::any_of(questions.begin(), questions.end(), [&](const SamplerOutline::Question& question) {
    return recipe.guidance.asks_uncond(question.step, question.level);
  });
  if (!anywhere)
    plan.warnings.push_back("`guidance_sigmas`: none of the run's levels lies there, so there is no guidance");
}

void plan_size(const Manifest& manifest, const Settings& settings, Plan& plan) {
  Manifest::Size size = settings.size.value_or(manifest.default_size);
  if (size.width == 0) size.width = manifest.default_size.width;
  if (size.height == 0) size.height = manifest.default_size.height;
  check_size(manifest, size);
  plan.width = size.width;
  plan.height = size.height;
}

}  // namespace

std::optional<int64_t> made_steps(const Sampler& sampler, const Schedule& schedule) {
  if (sampler.adaptive) return std::nullopt;
  return sampler.picks_levels ? outline(sampler, {}, schedule).steps : schedule.steps();
}

std::optional<int64_t> made_steps(const Recipe& recipe) {
  if (recipe.before && !recipe.restarts()) return made_steps(*recipe.before);
  const auto own = made_steps(sampler_named(recipe.sampler), own_schedule(recipe));
  return own ? std::optional(recipe.branched_after + *own) : std::nullopt;
}

Plan plan_of(const Facts& facts) {
  Plan plan;
  static_cast<Facts&>(plan) = facts;
  plan.prompts = prompts_of(facts);
  plan.made_steps = made_steps(facts.recipe);
  return plan;
}

Plan make_plan(const Manifest& manifest, const Settings& settings, StartNoise start) {
  Plan plan;
  plan_prompts(settings, plan);
  plan_size(manifest, settings, plan);
  const Preset preset = planned_preset(settings.sampler.value_or(manifest.defaults.sampler), plan.warnings);
  Schedule schedule = planned_schedule(manifest, settings, preset, plan);
  Sampler sampler = sampler_named(preset.sampler);
  if (preset.eta) sampler.eta = preset.eta;
  plan_own_steps(sampler, settings, schedule, plan);
  plan.recipe = make_recipe(manifest, settings, plan, sampler, std::move(schedule), start);
  plan.prompts.is_guided = plan.recipe.guidance.guides();
  warn_of_guidance(settings, plan);
  if (plan.recipe.init_noise_given) warn_of_other_noise(plan.recipe.init_noise, plan.warnings);
  if (plan.recipe.rng == Rng::cpu && plan.recipe.seed > 0xffffffff) {
    plan.warnings.push_back("seed " + std::to_string(plan.recipe.seed) +
                            " is beyond 32 bits: the cpu generator uses its low 32, " +
                            std::to_string(plan.recipe.seed & 0xffffffff));
  }
  return plan;
}

}  // namespace steplapse
