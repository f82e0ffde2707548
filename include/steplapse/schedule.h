#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/noise_level.h"
#include "steplapse/noise_scale.h"

namespace steplapse {

/// The factor of the unit noise that sampling starts from.
enum class StartScale {
  unit,               ///< 1: x has unit variance (diffusers' DDIM)
  sigma,              ///< levels[0].sigma: x has the noise of its level and no picture (k-diffusion: noise * sigma_max)
  unit_at_max,        ///< 1 where the first level is the model's noisiest, else levels[0].sigma (ComfyUI)
  sigma_but_leading,  ///< 1 for `leading`, else levels[0].sigma (diffusers' Euler and its kin)
};

/// The level that a run ends at, after the levels at which the network is asked.
enum class RunEnd {
  zero,         ///< sigma 0
  final_alpha,  ///< the model's last level (final_alpha_cumprod), where the schedule may end there; else sigma 0
  timestep_0,   ///< the level of training timestep 0 (diffusers' DEIS and TCD); sigma 0 for flow models, which lack it
  last_listed,  ///< the schedule's last level, where the network is not asked: one step less (A1111's DDIM and PLMS)
  last_asked,   ///< the schedule's last level, for samplers that choose their levels (A1111's DPM fast and adaptive)
};

/// What the user asks of a schedule.
struct ScheduleRequest {
  int64_t steps = 0;  ///< 1 to the number of training timesteps
  /// The range of the levels at which the network is asked, in the unit of NoiseScale's sigma. None: the model's.
  std::optional<double> sigma_min = std::nullopt, sigma_max = std::nullopt;
  std::optional<double> rho = std::nullopt;        ///< exponent, above 0; none: the schedule's default
  std::optional<StartScale> start = std::nullopt;  ///< none: the schedule's default
  RunEnd end = RunEnd::zero;
  bool drops_penultimate = false;  ///< takes the levels for one step more, and leaves out the last but one
};

/// Which optional fields of a ScheduleRequest a schedule honours.
struct HonouredFields {
  bool sigma_min = false, sigma_max = false;
  std::optional<double> rho = std::nullopt;  ///< its default; none: rho is not honoured
};

/// A row of schedules(): a rule that gives the levels at which the network is asked. docs/sampling.md describes each.
struct ScheduleRule {
  std::string_view name;    ///< on the command line
  std::string_view label;   ///< in pictures, as web UIs write it; "" where they have no word for it
  std::string_view about;   ///< one line for tables
  std::string_view source;  ///< the paper or tool
  /// The levels at which the network is asked, the noisiest first, falling. Most rules give `steps` of them; none gives
  /// the level that the run ends at.
  /// @throws std::invalid_argument  the rule has no levels for this model or this number of steps; the text says what
  ///                                works
  std::vector<NoiseLevel> (*levels)(const NoiseScale& scale, const ScheduleRequest& request);
  HonouredFields honours = {};
  StartScale start = StartScale::sigma;
  bool ends_at_final_alpha = false;  ///< may end at the model's last level (RunEnd::final_alpha); else ends at sigma 0
  bool unit_start_in_euler = false;  ///< StartScale::sigma_but_leading is 1 on it
  /// Other tools' names for it: "a1111:Karras", "comfyui:karras", "sd.cpp:karras", "diffusers:use_karras_sigmas".
  std::vector<std::string_view> aliases = {};
};

/// All schedules, in the order in which tables show them.
const std::vector<ScheduleRule>& schedules();

/// @throws std::invalid_argument  no schedule has this name; the text suggests the most similar one
const ScheduleRule& schedule_named(std::string_view name);

/// The rule's levels, then the level that the run ends at.
/// @throws std::invalid_argument  steps outside 1 to the number of training timesteps; sigma_min or sigma_max outside
///                                the model's range, or not sigma_min < sigma_max; rho not above 0; or the rule refuses
Schedule make_schedule(const TrainingNoise& noise, const ScheduleRule& rule, const ScheduleRequest& request);

/// A schedule at the timesteps that the user lists; `end` is added. At least one timestep; init_scale is 1.
/// @throws std::invalid_argument  a timestep outside the model's range, or timesteps that do not fall; the text names
///                                it
Schedule schedule_of_timesteps(const TrainingNoise& noise, const std::vector<double>& timesteps,
                               RunEnd end = RunEnd::zero);

/// A schedule at the sigmas that the user lists, in the unit of NoiseScale's sigma. The last must be 0.
/// @throws std::invalid_argument  a sigma outside the model's range, sigmas that do not fall or do not end at 0; the
///                                text names it
Schedule schedule_of_sigmas(const TrainingNoise& noise, const std::vector<double>& sigmas);

/// Checks that a model of this noise can be asked at the levels of a schedule that comes from elsewhere.
/// @return the schedule with the model's table for at()
/// @throws std::invalid_argument  as check_levels; a level without a timestep or outside the model's; the text names it
Schedule schedule_of_levels(const TrainingNoise& noise, Schedule schedule);

/// Checks that a sigma, in the unit of NoiseScale's sigma, lies in the model's range. 1 % beyond it is allowed, since
/// lists are published in few digits.
/// @throws std::invalid_argument  it does not; the text names the range
void check_sigma(const NoiseScale& scale, double sigma);

/// The factor of the start noise by this rule.
/// @param start   not sigma_but_leading
/// @param levels  at least one, the noisiest first
double init_scale(StartScale start, const NoiseScale& scale, const std::vector<NoiseLevel>& levels);

}  // namespace steplapse
