#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/noise_level.h"

namespace steplapse {

/// A model's noise levels in the numbers that schedules are written in: training timesteps, 0 to count - 1, and the
/// tools' sigma. That is sigma / alpha for models with a table (k-diffusion's convention), and sigma itself for flow
/// models, where timestep t stands for u = (t + 1) / 1000, and sigma is shift * u / (1 + (shift - 1) * u) (Esser et al.
/// 2024, arXiv:2403.03206, section 5.3.2).
class NoiseScale {
 public:
  explicit NoiseScale(const TrainingNoise& noise) : noise_(noise), table_{{}, 1, noise.alphas_cumprod} {}

  const TrainingNoise& noise() const { return noise_; }
  int64_t timesteps() const { return noise_.timesteps(); }
  bool is_flow() const { return noise_.alphas_cumprod.empty(); }

  double sigma_min() const { return sigma_at(0); }
  double sigma_max() const {
    return sigma_at(static_cast<double>(timesteps() - 1));
  }                                        ///< kLargestNoiseRatio at alpha 0
  double sigma_at(double timestep) const;  ///< between timesteps log sigma is interpolated, as in k-diffusion
  double timestep_of(double sigma) const;  ///< the reverse, held inside the table; for flow it is 1000 * sigma - 1
  NoiseLevel at_sigma(double sigma) const;
  NoiseLevel at_timestep(double timestep) const;  ///< alpha and sigma of a whole one are the table's own

 private:
  const TrainingNoise& noise_;
  Schedule table_;
};

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

/// What of a ScheduleRequest a schedule knows.
struct ScheduleKnows {
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
  ScheduleKnows knows = {};
  StartScale start = StartScale::sigma;
  bool own_last_level = false;  ///< may end at the model's own last level, for samplers that do; the others at sigma 0
  /// Other tools' names for it: "a1111:Karras", "comfyui:karras", "sd.cpp:karras", "diffusers:use_karras_sigmas".
  std::vector<std::string_view> also = {};
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

// ---- the rules: src/sampling/schedules, by what they spread evenly -------------------------------------------------------------

// Over training timesteps.
std::vector<NoiseLevel> leading_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> linspace_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> trailing_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> normal_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> sgm_uniform_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> simple_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> ddim_uniform_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> beta_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> lcm_levels(const NoiseScale&, const ScheduleRequest&);

std::vector<NoiseLevel> linspace_sigma_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> linspace_solver_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> leading_solver_levels(const NoiseScale&, const ScheduleRequest&);

// Over a function of sigma.
std::vector<NoiseLevel> karras_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> exponential_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> polyexponential_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> kl_optimal_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> laplace_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> beta_sigma_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> linear_quadratic_levels(const NoiseScale&, const ScheduleRequest&);

// From published lists.
std::vector<NoiseLevel> ays_sd1_levels(const NoiseScale&, const ScheduleRequest&);
std::vector<NoiseLevel> ays_sdxl_levels(const NoiseScale&, const ScheduleRequest&);

}  // namespace steplapse
