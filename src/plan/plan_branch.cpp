#include "plan/plan_branch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/text.h"
#include "plan/plan_levels.h"
#include "plan/plan_prompts.h"
#include "plan/presets.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

/// How far apart two levels are, as a ratio of their noise: 0 where they are equal.
double apart(const NoiseLevel& a, const NoiseLevel& b) {
  const double log_ratio = std::log(noise_ratio(a)) - std::log(noise_ratio(b));
  return std::isnan(log_ratio) ? 0 : std::abs(log_ratio);  // both alphas are 0
}

/// `steps` levels below `from`: the last ones of a schedule by this rule. Of the numbers of steps that give so many there, the
/// one is taken that has a level nearest to `from`.
std::vector<NoiseLevel> tail_of(const NoiseLevel& from, const PlannedRule& planned, int64_t steps) {
  constexpr double kSame = 1e-6;  // a level at the same place, rounded otherwise
  std::vector<NoiseLevel> best;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t in_all = steps; in_all <= planned.noise.timesteps(); ++in_all) {
    ScheduleRequest request = planned.request;
    request.steps = in_all;
    try {
      const std::vector<NoiseLevel> levels = make_schedule(planned.noise, planned.rule, request).levels;
      const auto below = std::find_if(levels.begin(), levels.end(), [&](const NoiseLevel& level) {
        return noise_ratio(level) < noise_ratio(from) && apart(level, from) > kSame;
      });
      if (levels.end() - below > steps) break;
      if (levels.end() - below < steps || below == levels.begin() || apart(below[-1], from) >= least) continue;
      least = apart(below[-1], from);
      best.assign(below, levels.end());
    } catch (const std::invalid_argument&) {  // the rule has no levels for this number
    }
  }
  if (!best.empty()) return best;
  throw UsageError("`steps` " + std::to_string(steps) + ": the schedule " + in_quotes(std::string(planned.rule.name)) +
                   " has not so many levels below sigma " + plain(noise_ratio(from)) + "; expected fewer");
}

/// The levels after `from` by a schedule's rule.
std::vector<NoiseLevel> laid_out(const NoiseLevel& from, const PlannedRule& planned, int64_t steps) {
  if (!planned.rule.honours.sigma_max) return tail_of(from, planned, steps);
  ScheduleRequest request = planned.request;
  request.steps = steps;
  request.sigma_max = planned.noise.is_flow() ? from.sigma : noise_ratio(from);
  try {
    std::vector<NoiseLevel> levels = make_schedule(planned.noise, planned.rule, request).levels;
    levels.erase(levels.begin());
    return levels;
  } catch (const std::invalid_argument& error) {
    throw UsageError("`steps` " + std::to_string(steps) + " from sigma " + plain(*request.sigma_max) +
                     " on: " + error.what());
  }
}

/// The levels that the run before would have gone on with.
std::vector<NoiseLevel> levels_left(const Recipe& before, const NoiseLevel& from, int64_t after_step) {
  std::vector<NoiseLevel> left = own_schedule(before).levels;
  if (sampler_named(before.sampler).picks_levels) {
    std::erase_if(left, [&](const NoiseLevel& level) { return noise_ratio(level) >= noise_ratio(from); });
  } else {
    left.erase(left.begin(), left.begin() + (after_step - before.branched_after) + 1);
  }
  return left;
}

void change_sampler(const Manifest& manifest, const BranchSettings& changes, Plan& plan, Preset& preset) {
  preset = changes.sampler ? planned_preset(*changes.sampler, plan.warnings) : Preset{.sampler = plan.recipe.sampler};
  if (!changes.sampler) return;
  Sampler sampler = sampler_named(preset.sampler);
  if (preset.eta) sampler.eta = preset.eta;
  plan.recipe.sampler = preset.sampler;
  plan.recipe.options = planned_options(sampler, {});
  plan.recipe.options.clip_sample_range = manifest.training_noise.clip_sample_range;
}

void change_levels(const Manifest& manifest, const RunBefore& before, int64_t after_step, const BranchSettings& changes,
                   Preset preset, Plan& plan) {
  const NoiseLevel from = before.levels.at(static_cast<size_t>(after_step));
  std::vector<NoiseLevel> left = levels_left(before.facts->recipe, from, after_step);
  if (changes.schedule || changes.steps) {
    Settings settings;
    settings.schedule = changes.schedule;
    settings.shift = plan.shift;
    if (!changes.schedule && !plan.own_levels()) preset.schedule = schedule_named(plan.schedule).name;
    const PlannedRule planned = planned_rule(manifest, settings, preset);
    plan.warnings.insert(plan.warnings.end(), planned.warnings.begin(), planned.warnings.end());
    plan.schedule = planned.rule.name;
    plan.sigma_min = plan.sigma_max = plan.rho = {};
    left = laid_out(from, planned, changes.steps.value_or(static_cast<int64_t>(left.size())));
  } else if (!sampler_named(plan.recipe.sampler).ends_at_final_alpha) {
    left.back() = {std::nullopt, 1, 0};
  }
  std::vector<NoiseLevel>& levels = plan.recipe.schedule.levels;
  levels.assign(before.levels.begin(), before.levels.begin() + after_step + 1);
  levels.insert(levels.end(), left.begin(), left.end());
}

}  // namespace

Plan plan_branch(const Manifest& manifest, const RunBefore& before, int64_t after_step, const BranchSettings& changes) {
  Plan plan;
  static_cast<Facts&>(plan) = *before.facts;
  branch_off(plan, before.facts, after_step);
  if (changes.guidance_scale) {
    Settings guidance;
    guidance.guidance_scale = changes.guidance_scale;
    plan.recipe.guidance.scale = planned_guidance(manifest, guidance, {}).scale;
  }
  Settings prompts;
  prompts.prompt = changes.prompt.value_or(plan.prompt);
  prompts.negative_prompt = changes.negative_prompt ? changes.negative_prompt : plan.negative_prompt;
  prompts.prompt_syntax = prompt_syntax_named(plan.prompt_syntax);
  plan_prompts(prompts, plan);
  plan.prompts.is_guided = plan.recipe.guidance.guides();

  Preset preset;
  change_sampler(manifest, changes, plan, preset);
  if (changes.sampler || changes.schedule || changes.steps) {
    change_levels(manifest, before, after_step, changes, preset, plan);
  }
  plan.made_steps = made_steps(plan.recipe);
  return plan;
}

}  // namespace steplapse
