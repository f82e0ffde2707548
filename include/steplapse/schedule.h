#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/noise_level.h"
#include "steplapse/noise_scale.h"

namespace steplapse {

/// What unit noise is multiplied with at the start.
enum class StartScale {
  unit,               ///< 1: x then is as noisy as its level, all of it noise (diffusers' DDIM)
  sigma,              ///< levels[0].sigma: only the noise of the level (k-diffusion: noise * sigma_max)
  unit_at_max,        ///< 1 where the first level is the model's noisiest, else levels[0].sigma (ComfyUI)
  sigma_but_leading,  ///< 1 for `leading`, else levels[0].sigma (diffusers' Euler and its kin)
};

/// Where a run ends, after the levels it asks at.
enum class RunEnd {
  zero,         ///< sigma 0
  own,          ///< the model's own last level, where the schedule may end there; else sigma 0
  timestep_0,   ///< the level of training timestep 0 (diffusers' DEIS and TCD); flow models have none: sigma 0
  last_listed,  ///< the schedule's last level, at which the network then is not asked (A1111's DDIM and PLMS)
  last_asked,  ///< the same, after as many steps as are asked for: for samplers with steps of their own (DPM fast, adaptive)
};

/// What a schedule is asked for.
struct ScheduleRequest {
  int64_t steps = 0;
  /// Of the levels asked at, in NoiseScale's sigma; none: the model's.
  std::optional<double> sigma_min = std::nullopt, sigma_max = std::nullopt;
  std::optional<double> rho = std::nullopt;        ///< none: the schedule's own
  std::optional<StartScale> start = std::nullopt;  ///< none: the schedule's own
  RunEnd end = RunEnd::zero;
  bool drops_penultimate = false;  ///< the levels for one step more, without the last but one
};

/// Which optional fields of a ScheduleRequest a schedule honours.
struct HonouredFields {
  bool sigma_min = false, sigma_max = false;
  std::optional<double> rho = std::nullopt;  ///< its own value
};

/// A schedule in the table of those there are: a rule which levels to ask at. docs/sampling.md says more of each.
struct ScheduleRule {
  std::string_view name;    ///< as on the command line
  std::string_view label;   ///< as web UIs write it into pictures; "" where they have no word
  std::string_view about;   ///< one line
  std::string_view source;  ///< paper or tool
  /// The levels to ask at, noisiest first, falling; mostly `steps` of them. The end of the run is not among them.
  /// @throws std::invalid_argument  the model or the number of steps can't be had: why, and what can
  std::vector<NoiseLevel> (*levels)(const NoiseScale& scale, const ScheduleRequest& request);
  HonouredFields honours = {};
  StartScale start = StartScale::sigma;
  bool own_last_level = false;  ///< may end at the model's own last level, for samplers that do; the others at sigma 0
  /// Other tools' names for it: "a1111:Karras", "comfyui:karras", "sd.cpp:karras", "diffusers:use_karras_sigmas".
  std::vector<std::string_view> aliases = {};
};

const std::vector<ScheduleRule>& schedules();
const ScheduleRule& schedule_named(std::string_view name);  ///< @throws std::invalid_argument with the nearest name

/// The rule's levels, then the end.
/// @throws std::invalid_argument  steps outside 1..training timesteps, sigmas that are not the model's or do not fall, or
///                                what the rule itself refuses
Schedule make_schedule(const TrainingNoise& noise, const ScheduleRule& rule, const ScheduleRequest& request);

/// The user's own levels. Sigmas have their end among them, which must be 0.
/// @throws std::invalid_argument  outside the model's, or they do not fall: the text names the number
Schedule schedule_of_timesteps(const TrainingNoise& noise, const std::vector<double>& timesteps,
                               RunEnd end = RunEnd::zero);
Schedule schedule_of_sigmas(const TrainingNoise& noise, const std::vector<double>& sigmas);

/// Checks that a model of this noise can be asked at these levels, whoever made them, and lends them its table for at().
/// @throws std::invalid_argument  the text names the level
Schedule schedule_of_levels(const TrainingNoise& noise, Schedule schedule);

/// @throws std::invalid_argument  more than 1 % outside the model's (lists are published in few digits), and how far those go
void check_sigma(const NoiseScale& scale, double sigma);

/// The factor by this rule, for levels that are there.
double init_scale(StartScale start, const NoiseScale& scale, const std::vector<NoiseLevel>& levels);

}  // namespace steplapse
