#include "plan/plan_levels.h"

#include <cmath>
#include <functional>

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

void check_number(const char* flag, double value, double least, double most) {
  if (value >= least && value <= most && std::isfinite(value)) return;
  throw UsageError(
      flag + (" " + plain(value)) + ": expected a number " +
      (std::isinf(most) ? "of " + plain(least) + " or more" : "from " + plain(least) + " to " + plain(most)));
}

/// ", those that do: euler, heun" for the samplers or schedules that `fits`.
template <typename Table, typename Fits>
std::string those_that_do(const Table& table, Fits fits) {
  std::string names;
  for (const auto& row : table) {
    if (fits(row)) names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return names.empty() ? "" : "; those that do: " + names;
}

// ---- the sampler's options --------------------------------------------------------------------------------------------

void refuse_eta(const Sampler& sampler) {
  throw UsageError("`eta`: the sampler " + in_quotes(std::string(sampler.name)) + " knows no eta" +
                   those_that_do(samplers(), [](const Sampler& other) { return other.eta.has_value(); }));
}

void refuse_churn(const char* flag, const Sampler& sampler) {
  throw UsageError(std::string(flag) + ": the sampler " + in_quotes(std::string(sampler.name)) + " does not churn" +
                   those_that_do(samplers(), [](const Sampler& other) { return other.churns; }));
}

// ---- the schedule -----------------------------------------------------------------------------------------------------

/// The flags that say which levels, given or not.
struct LevelFlag {
  const char* name;
  bool given;
};

void refuse_two_ways(const Settings& settings) {
  const LevelFlag own[] = {{"`timesteps`", settings.timesteps.has_value()},
                           {"`sigmas`", settings.sigmas.has_value()},
                           {"`levels`", settings.levels.has_value()}};
  const LevelFlag made[] = {{"`steps`", settings.steps.has_value()},
                            {"`schedule`", settings.schedule.has_value()},
                            {"`sigma_min`", settings.sigma_min.has_value()},
                            {"`sigma_max`", settings.sigma_max.has_value()},
                            {"`rho`", settings.rho.has_value()},
                            {"`shift`", settings.shift.has_value()}};
  const LevelFlag* first = nullptr;
  for (const LevelFlag& flag : own) {
    if (!flag.given) continue;
    if (first)
      throw UsageError(std::string(first->name) + " and " + flag.name + " both say which levels; leave one out");
    first = &flag;
  }
  for (const LevelFlag& flag : made) {
    if (first && flag.given) {
      throw UsageError(std::string(first->name) + " has all levels already; leave out " + flag.name);
    }
  }
}

/// A bundle that does not name its family has two text encoders where it is Stable Diffusion XL.
bool is_sdxl(const Manifest& manifest) {
  return manifest.family ? *manifest.family == "sdxl" : manifest.tokenizers.size() == 2;
}

template <typename Table>
bool has_name(const Table& table, const std::string& name) {
  return std::any_of(table.begin(), table.end(), [&](const auto& row) { return row.name == name; });
}

std::string taken_warning(const char* flag, const std::string& word, const std::string& as) {
  return std::string(flag) + " " + in_quotes(word) + " is taken for " + as;
}

/// As the user's flag names it; `ays` is the list for this model's family.
const ScheduleRule& rule_named(const Manifest& manifest, const std::string& said, std::vector<std::string>& warnings) {
  try {
    std::string name = is_other_tools(said) ? schedule_of_other_tool(said) : said;
    if (name == "bundle") return schedule_named(manifest.training_noise.timestep_spacing);
    if (name != "ays" && !has_name(schedules(), name)) {
      if (const auto taken = schedule_taken_for(name)) {
        warnings.push_back(taken_warning("`schedule`", name, taken->as));
        name = taken->what;
      }
    }
    if (name == "ays") return schedule_named(is_sdxl(manifest) ? "ays_sdxl" : "ays_sd1");
    return schedule_named(name);
  } catch (const std::invalid_argument& error) {
    throw UsageError(error.what());
  }
}

void check_honours(const ScheduleRule& rule, const Settings& settings) {
  const auto check = [&](const char* flag, bool given, const std::function<bool(const ScheduleRule&)>& knows) {
    if (!given || knows(rule)) return;
    throw UsageError(std::string(flag) + ": the schedule " + in_quotes(std::string(rule.name)) + " does not take it" +
                     those_that_do(schedules(), knows));
  };
  check("`sigma_min`", settings.sigma_min.has_value(),
        [](const ScheduleRule& other) { return other.honours.sigma_min; });
  check("`sigma_max`", settings.sigma_max.has_value(),
        [](const ScheduleRule& other) { return other.honours.sigma_max; });
  check("`rho`", settings.rho.has_value(), [](const ScheduleRule& other) { return other.honours.rho.has_value(); });
}

void check_sigmas(const NoiseScale& scale, const Settings& settings) {
  const auto check = [&](const std::string& flag, const std::optional<double>& sigma) {
    try {
      if (sigma) check_sigma(scale, *sigma);
    } catch (const std::invalid_argument& error) {
      throw UsageError(flag + " " + error.what());
    }
  };
  check("`sigma_min`", settings.sigma_min);
  check("`sigma_max`", settings.sigma_max);
  const double least = settings.sigma_min.value_or(scale.sigma_min()),
               most = settings.sigma_max.value_or(scale.sigma_max());
  if (least >= most && settings.sigma_min) {
    throw UsageError("`sigma_min` " + plain(least) + ": not below the largest sigma, " + plain(most));
  }
  if (least >= most && settings.sigma_max) {
    throw UsageError("`sigma_max` " + plain(most) + ": not above the smallest sigma, " + plain(least));
  }
  if (settings.rho && !(*settings.rho > 0 && std::isfinite(*settings.rho))) {
    throw UsageError("`rho` " + plain(*settings.rho) + ": expected a number above 0");
  }
}

/// What the library says of numbers, said of a flag.
Schedule of_flag(const std::string& flag, const std::function<Schedule()>& make) {
  try {
    return make();
  } catch (const std::invalid_argument& error) {
    throw UsageError(flag + ": " + error.what());
  }
}

TrainingNoise shifted_noise(TrainingNoise noise, const Settings& settings) {
  if (!settings.shift) return noise;
  if (!noise.is_flow()) {
    throw UsageError("`shift`: is for flow models; this one predicts " + std::string(name_of(noise.prediction_type)));
  }
  check_number("`shift`", *settings.shift, 0.01, 100);
  noise.shift = *settings.shift;
  return noise;
}

RunEnd run_end(const Preset& preset) {
  return preset.end.value_or(sampler_named(preset.sampler).ends_at_final_alpha ? RunEnd::final_alpha : RunEnd::zero);
}

/// Whether samplers may bring their usual levels: those are for noise that begins at some sigma and stands in a table. Bundles of
/// zero terminal SNR and of trailing spacing were trained for a start elsewhere.
bool takes_usual_schedule(const TrainingNoise& noise) {
  constexpr double kZeroSnr = 1e-6;  // alpha²; diffusers puts 2^-24 there, Stable Diffusion has 0.0047
  return !noise.is_flow() && noise.timestep_spacing != "trailing" && noise.alphas_cumprod.back() > kZeroSnr;
}

Schedule by_rule(const Manifest& manifest, const Settings& settings, Preset preset, Plan& plan) {
  const bool other_tools = is_other_tools(settings.sampler.value_or(manifest.defaults.sampler));
  const bool ours = !other_tools && preset == Preset{.sampler = preset.sampler};  // nor taken for another tool's
  if (!settings.schedule && ours && takes_usual_schedule(manifest.training_noise)) {
    preset.schedule = sampler_named(preset.sampler).usual_schedule;
    plan.usual_schedule = preset.schedule.has_value();
  }
  PlannedRule planned = planned_rule(manifest, settings, preset);
  plan.schedule = planned.rule.name;
  plan.warnings.insert(plan.warnings.end(), planned.warnings.begin(), planned.warnings.end());
  plan.sigma_min = settings.sigma_min;
  plan.sigma_max = settings.sigma_max;
  plan.rho = settings.rho;

  const int64_t steps = settings.steps.value_or(manifest.defaults.steps);
  Schedule schedule = of_flag("`steps` " + std::to_string(steps), [&] {
    planned.request.steps = steps;
    return make_schedule(planned.noise, planned.rule, planned.request);
  });
  if (schedule.steps() != steps) {
    plan.warnings.push_back("`schedule` " + plan.schedule + " makes " + counted(schedule.steps(), "step") + " where " +
                            std::to_string(steps) + (steps == 1 ? " is asked" : " are asked"));
  }
  return schedule;
}

void warn_of_little_noise(const TrainingNoise& noise, const Schedule& schedule, Plan& plan) {
  const double first = schedule.levels.front().timestep.value();
  if (first >= static_cast<double>(noise.timesteps()) / 2) return;
  const bool own = plan.own_levels();
  plan.warnings.push_back(
      (own ? "`" + plan.schedule + "`" : "`schedule` " + plan.schedule + " with " + counted(schedule.steps(), "step")) +
      " starts at timestep " + plain(first) + " of " + std::to_string(noise.timesteps()) +
      ", where the network expects little noise" + (own ? "" : "; `schedule` trailing starts at the noisiest"));
}

}  // namespace

Preset planned_preset(const std::string& name, std::vector<std::string>& warnings) {
  try {
    if (is_other_tools(name)) return preset_named(name);
    if (!has_name(samplers(), name)) {
      if (const auto taken = sampler_taken_for(name)) {
        warnings.push_back(taken_warning("`sampler`", name, taken->as));
        return taken->what;
      }
    }
    return {.sampler = std::string(sampler_named(name).name)};
  } catch (const std::invalid_argument& error) {
    throw UsageError(error.what());
  }
}

SamplerOptions planned_options(const Sampler& sampler, const Settings& settings) {
  SamplerOptions options;
  if (settings.eta && !sampler.eta) refuse_eta(sampler);
  options.eta = settings.eta.value_or(sampler.eta.value_or(0));
  check_number("`eta`", options.eta, 0, 1);

  if (settings.s_churn && !sampler.churns) refuse_churn("`s_churn`", sampler);
  options.s_churn = settings.s_churn.value_or(0);
  check_number("`s_churn`", options.s_churn, 0, INFINITY);
  for (const auto& [flag, given] :
       {LevelFlag{"`s_tmin`", settings.s_tmin.has_value()}, {"`s_tmax`", settings.s_tmax.has_value()}}) {
    if (given && !sampler.churns) refuse_churn(flag, sampler);
    if (given && options.s_churn == 0) throw UsageError(std::string(flag) + ": has no effect without `s_churn`");
  }
  if (settings.s_tmin) check_number("`s_tmin`", *settings.s_tmin, 0, INFINITY);
  if (settings.s_tmax) check_number("`s_tmax`", *settings.s_tmax, 0, INFINITY);
  options.s_tmin = settings.s_tmin.value_or(options.s_tmin);
  options.s_tmax = settings.s_tmax.value_or(options.s_tmax);
  if (options.s_tmin > options.s_tmax) {
    throw UsageError("`s_tmin` " + plain(options.s_tmin) + ": above `s_tmax` " + plain(options.s_tmax));
  }

  if (settings.s_noise) check_number("`s_noise`", *settings.s_noise, 0, INFINITY);
  if (settings.s_noise && !sampler.fresh_noise && options.eta == 0 && options.s_churn == 0) {
    throw UsageError("`s_noise`: the sampler " + in_quotes(std::string(sampler.name)) + " draws no fresh noise" +
                     (sampler.eta      ? " with `eta` 0"
                      : sampler.churns ? " without `s_churn`"
                                       : ""));
  }
  options.s_noise = settings.s_noise.value_or(1);
  return options;
}

GuidanceRule planned_guidance(const Manifest& manifest, const Settings& settings, std::optional<int64_t> steps) {
  GuidanceRule rule{.scale = settings.guidance_scale.value_or(manifest.defaults.guidance_scale)};
  check_number("`guidance_scale`", rule.scale, 0, INFINITY);
  for (const auto& [flag, given] : {LevelFlag{"`guidance_interval`", settings.guidance_interval.has_value()},
                                    {"`guidance_sigmas`", settings.guidance_sigmas.has_value()},
                                    {"`guidance_rescale`", settings.guidance_rescale.has_value()}}) {
    if (given && !rule.guides()) {
      throw UsageError(std::string(flag) + ": there is no guidance at `guidance_scale` " + plain(rule.scale) +
                       "; expected another");
    }
  }
  if (const auto& interval = settings.guidance_interval) {
    rule.first_step = static_cast<int64_t>(interval->low);
    if (std::isfinite(interval->high)) rule.last_step = static_cast<int64_t>(interval->high);
    const std::string said = "`guidance_interval` " + plain(interval->low) + ".." +
                             (std::isinf(interval->high) ? "" : plain(interval->high));
    if (steps && (rule.first_step > *steps || (std::isfinite(interval->high) && rule.last_step > *steps))) {
      throw UsageError(said + ": the run has " + counted(*steps, "step"));
    }
    if (rule.first_step < 1 || rule.first_step > rule.last_step)
      throw UsageError(said + ": expected steps A..B from 1, A no greater than B");
  }
  if (const auto& sigmas = settings.guidance_sigmas) {
    if (!(sigmas->low >= 0 && sigmas->low < sigmas->high)) {
      throw UsageError("`guidance_sigmas` " + plain(sigmas->low) + ".." + plain(sigmas->high) +
                       ": expected LOW..HIGH, LOW below HIGH");
    }
    rule.sigma_low = sigmas->low;
    rule.sigma_high = sigmas->high;
  }
  rule.rescale = settings.guidance_rescale.value_or(0);
  check_number("`guidance_rescale`", rule.rescale, 0, 1);
  return rule;
}

PlannedRule planned_rule(const Manifest& manifest, const Settings& settings, const Preset& preset) {
  const TrainingNoise noise = shifted_noise(manifest.training_noise, settings);
  std::vector<std::string> warnings;
  const ScheduleRule& rule =
      rule_named(manifest, settings.schedule.value_or(preset.schedule.value_or(noise.timestep_spacing)), warnings);
  check_honours(rule, settings);
  check_sigmas(NoiseScale(noise), settings);
  return {rule,
          noise,
          {.sigma_min = settings.sigma_min,
           .sigma_max = settings.sigma_max,
           .rho = settings.rho,
           .start = preset.start,
           .end = run_end(preset),
           .drops_penultimate = preset.drops_penultimate},
          warnings};
}

Schedule planned_schedule(const Manifest& manifest, const Settings& settings, const Preset& preset, Plan& plan) {
  const TrainingNoise noise = shifted_noise(manifest.training_noise, settings);
  if (noise.is_flow()) plan.shift = noise.shift;
  refuse_two_ways(settings);
  Schedule schedule;
  if (settings.timesteps) {
    plan.schedule = "timesteps";
    schedule =
        of_flag("`timesteps`", [&] { return schedule_of_timesteps(noise, *settings.timesteps, run_end(preset)); });
  } else if (settings.sigmas) {
    plan.schedule = "sigmas";
    schedule = of_flag("`sigmas`", [&] { return schedule_of_sigmas(noise, *settings.sigmas); });
  } else if (settings.levels) {
    plan.schedule = "levels";
    schedule = of_flag("`levels`", [&] { return schedule_of_levels(noise, *settings.levels); });
  } else {
    schedule = by_rule(manifest, settings, preset, plan);
  }
  if (preset.start && (settings.timesteps || settings.sigmas)) {
    schedule.init_scale = init_scale(*preset.start, NoiseScale(noise), schedule.levels);
  }
  check_levels(schedule);
  warn_of_little_noise(noise, schedule, plan);
  return schedule;
}

}  // namespace steplapse
