// Schedules that spread their steps over the training timesteps.

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "sampling/schedules/even.h"
#include "sampling/schedules/schedules.h"

namespace steplapse {
namespace {

void refuse_leading_that_starts_late(const NoiseScale& scale, int64_t steps) {
  const int64_t last = scale.timesteps() - 1, offset = scale.noise().steps_offset;
  const int64_t first = (scale.timesteps() / steps) * (steps - 1) + offset;
  if (first > last) {
    throw std::invalid_argument("leading with offset " + std::to_string(offset) + " and " + std::to_string(steps) +
                                " steps would start at timestep " + std::to_string(first) +
                                ", outside the model's 0 to " + std::to_string(last) + "; use trailing or linspace");
  }
  if (2 * steps > scale.timesteps() && first < last) {
    throw std::invalid_argument("leading with " + std::to_string(steps) + " steps would start at timestep " +
                                std::to_string(first) + ", not at the noisiest, " + std::to_string(last) +
                                "; use at most " + std::to_string(scale.timesteps() / 2) +
                                " steps, or trailing or linspace");
  }
}

/// Timesteps evenly from the noisiest to 0; 0 alone for one step. The arithmetic is numpy's, which goes upwards.
std::vector<double> linspace(const NoiseScale& scale, int64_t steps) {
  std::vector<double> timesteps = even(0, static_cast<double>(scale.timesteps() - 1), steps);
  std::reverse(timesteps.begin(), timesteps.end());
  return timesteps;
}

/// The first and last timestep of the tools that write schedules in sigma. (For flow models these are shifted already,
/// and the levels between them are shifted again, as in those tools.)
struct Ends {
  double first, last;
};
Ends ends_of(const NoiseScale& scale, const ScheduleRequest& request) {
  return {scale.timestep_of(request.sigma_max.value_or(scale.sigma_max())),
          scale.timestep_of(request.sigma_min.value_or(scale.sigma_min()))};
}

}  // namespace

// The three spacings of Lin et al. 2023 (arXiv:2305.08891), table 2, as diffusers computes them. nearbyint rounds
// halves to even, as numpy's round does.

static std::vector<NoiseLevel> normal_levels(const NoiseScale& scale, const ScheduleRequest& request);

static std::vector<NoiseLevel> leading_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  refuse_leading_that_starts_late(scale, request.steps);
  std::vector<double> timesteps;
  const int64_t between = scale.timesteps() / request.steps;
  for (int64_t i = request.steps - 1; i >= 0; --i) {
    timesteps.push_back(static_cast<double>(between * i + scale.noise().steps_offset));
  }
  return at_timesteps(scale, timesteps);
}

ScheduleRule schedule_rows::leading() {
  return {.name = "leading",
          .label = "",
          .about = "integer strides up from the model's offset; starts a little below the noisiest timestep",
          .source = "Lin et al. 2023, arXiv:2305.08891, table 2; diffusers' timestep_spacing",
          .levels = leading_levels,
          .start = StartScale::unit,
          .ends_at_final_alpha = true,
          .unit_start_in_euler = true,
          .aliases = {"diffusers:leading"}};
}

static std::vector<NoiseLevel> linspace_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  if (scale.is_flow())
    return normal_levels(scale, request);  // as in FlowMatchEulerDiscreteScheduler, which does not round
  std::vector<double> timesteps = linspace(scale, request.steps);
  for (double& timestep : timesteps) timestep = std::nearbyint(timestep);
  return at_timesteps(scale, timesteps);
}

ScheduleRule schedule_rows::linspace() {
  return {.name = "linspace",
          .label = "",
          .about = "evenly from the noisiest timestep to 0, rounded",
          .source = "Lin et al. 2023, arXiv:2305.08891, table 2; diffusers' timestep_spacing",
          .levels = linspace_levels,
          .start = StartScale::unit,
          .ends_at_final_alpha = true,
          .aliases = {"diffusers:linspace"}};
}

static std::vector<NoiseLevel> trailing_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  // The order of the arithmetic is numpy.arange's, so that halves round as in numpy.
  const auto all = static_cast<double>(scale.timesteps());
  const double down = (all - all / static_cast<double>(request.steps)) - all;
  std::vector<double> timesteps;
  for (int64_t i = 0; i < request.steps; ++i) {
    const double timestep = all + static_cast<double>(i) * down;
    timesteps.push_back((scale.is_flow() ? timestep : std::nearbyint(timestep)) - 1);
  }
  return at_timesteps(scale, timesteps);
}

ScheduleRule schedule_rows::trailing() {
  return {.name = "trailing",
          .label = "",
          .about = "strides down from the noisiest timestep",
          .source = "Lin et al. 2023, arXiv:2305.08891, table 2; diffusers' timestep_spacing",
          .levels = trailing_levels,
          .start = StartScale::unit,
          .ends_at_final_alpha = true,
          .aliases = {"diffusers:trailing"}};
}

// What other schedulers of diffusers do for `linspace` and `leading`.

static std::vector<NoiseLevel> linspace_sigma_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  if (scale.is_flow()) return normal_levels(scale, request);
  std::vector<NoiseLevel> levels;
  for (const double timestep : linspace(scale, request.steps)) {
    const double below = std::floor(timestep), share = timestep - below;
    if (share == 0) {
      levels.push_back(scale.at_timestep(timestep));
    } else {
      levels.push_back(scale.at_sigma((1 - share) * scale.sigma_at(below) + share * scale.sigma_at(below + 1)));
      levels.back().timestep = timestep;
    }
  }
  return levels;
}

ScheduleRule schedule_rows::linspace_sigma() {
  return {.name = "linspace_sigma",
          .label = "",
          .about = "linspace without the rounding; sigma is interpolated, not its logarithm",
          .source = "diffusers' EulerDiscreteScheduler and its kin",
          .levels = linspace_sigma_levels};
}

static std::vector<NoiseLevel> linspace_solver_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  std::vector<NoiseLevel> levels = linspace_levels(scale, {.steps = request.steps + 1});
  levels.pop_back();
  return levels;
}

ScheduleRule schedule_rows::linspace_solver() {
  return {.name = "linspace_solver",
          .label = "",
          .about = "linspace for one step more, without its last",
          .source = "diffusers' DPMSolverMultistepScheduler and its kin",
          .levels = linspace_solver_levels,
          .start = StartScale::unit};
}

static std::vector<NoiseLevel> leading_solver_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  std::vector<double> timesteps;
  const int64_t between = scale.timesteps() / (request.steps + 1);
  for (int64_t i = request.steps; i >= 1; --i) {
    timesteps.push_back(static_cast<double>(between * i + scale.noise().steps_offset));
  }
  if (between == 0 || timesteps.front() > static_cast<double>(scale.timesteps() - 1)) {
    throw std::invalid_argument("leading_solver has no place for " + std::to_string(request.steps) +
                                " steps; use trailing");
  }
  return at_timesteps(scale, timesteps);
}

ScheduleRule schedule_rows::leading_solver() {
  return {.name = "leading_solver",
          .label = "",
          .about = "leading with the strides of one step more",
          .source = "diffusers' DPMSolverMultistepScheduler and its kin",
          .levels = leading_solver_levels,
          .start = StartScale::unit};
}

// k-diffusion's DiscreteSchedule.get_sigmas, ComfyUI's normal, A1111's Automatic.
static std::vector<NoiseLevel> normal_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  const auto [first, last] = ends_of(scale, request);
  return at_timesteps(scale, even(first, last, request.steps));
}

ScheduleRule schedule_rows::normal() {
  return {.name = "normal",
          .label = "Normal",
          .about = "evenly over timesteps, both ends among them",
          .source = "k-diffusion's DiscreteSchedule; ComfyUI",
          .levels = normal_levels,
          .honours = {.sigma_min = true, .sigma_max = true},
          .aliases = {"a1111:Normal", "a1111:Uniform", "a1111:Automatic", "comfyui:normal", "sd.cpp:discrete",
                      "k-diffusion:get_sigmas"}};
}

// Stability's generative-models (sgm): `normal` for one step more, without its last.
static std::vector<NoiseLevel> sgm_uniform_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  const auto [first, last] = ends_of(scale, request);
  std::vector<double> timesteps = even(first, last, request.steps + 1);
  timesteps.pop_back();
  return at_timesteps(scale, timesteps);
}

ScheduleRule schedule_rows::sgm_uniform() {
  return {.name = "sgm_uniform",
          .label = "SGM Uniform",
          .about = "evenly over timesteps, as normal for one step more without its last",
          .source = "Stability's generative-models; ComfyUI",
          .levels = sgm_uniform_levels,
          .honours = {.sigma_min = true, .sigma_max = true},
          .aliases = {"a1111:SGM Uniform", "a1111:SGMUniform", "comfyui:sgm_uniform", "sd.cpp:sgm_uniform"}};
}

// ComfyUI's simple: entries of the table at equal strides, from the noisiest down.
static std::vector<NoiseLevel> simple_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  const double between = static_cast<double>(scale.timesteps()) / static_cast<double>(request.steps);
  std::vector<double> timesteps;
  for (int64_t i = 0; i < request.steps; ++i) {
    timesteps.push_back(static_cast<double>(scale.timesteps() - 1) - std::floor(static_cast<double>(i) * between));
  }
  return at_timesteps(scale, timesteps);
}

ScheduleRule schedule_rows::simple() {
  return {.name = "simple",
          .label = "Simple",
          .about = "equal strides down the table, from the noisiest timestep",
          .source = "ComfyUI",
          .levels = simple_levels,
          .aliases = {"a1111:Simple", "comfyui:simple", "sd.cpp:simple"}};
}

// CompVis's DDIM, `make_ddim_timesteps` with uniform: timesteps from 1 upwards at integer strides, to the end of the
// table. For 80 steps there are 84.
static std::vector<NoiseLevel> ddim_uniform_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  const int64_t stride = std::max<int64_t>(1, scale.timesteps() / request.steps);
  std::vector<double> timesteps;
  for (int64_t timestep = 1; timestep < scale.timesteps(); timestep += stride) {
    timesteps.push_back(static_cast<double>(timestep));
  }
  std::reverse(timesteps.begin(), timesteps.end());
  return at_timesteps(scale, timesteps);
}

ScheduleRule schedule_rows::ddim_uniform() {
  return {.name = "ddim_uniform",
          .label = "DDIM",
          .about = "integer strides up from timestep 1; for some numbers of steps it makes more",
          .source = "CompVis' latent-diffusion, make_ddim_timesteps; ComfyUI",
          .levels = ddim_uniform_levels,
          .ends_at_final_alpha = true,
          .aliases = {"a1111:DDIM", "comfyui:ddim_uniform"}};
}

// Lee et al. 2024 (arXiv:2407.12173): more steps near both ends. As computed by ComfyUI; equal timesteps are merged.
static std::vector<NoiseLevel> beta_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  std::vector<double> timesteps;
  for (int64_t i = 0; i < request.steps; ++i) {
    const double share = 1 - static_cast<double>(i) / static_cast<double>(request.steps);
    timesteps.push_back(std::nearbyint(beta_quantile(kBetaShape, share) * static_cast<double>(scale.timesteps() - 1)));
  }
  timesteps.erase(std::unique(timesteps.begin(), timesteps.end()), timesteps.end());
  return at_timesteps(scale, timesteps);
}

ScheduleRule schedule_rows::beta() {
  return {.name = "beta",
          .label = "Beta",
          .about = "timesteps at a beta distribution's quantiles: more steps near both ends",
          .source = "Lee et al. 2024, arXiv:2407.12173; ComfyUI",
          .levels = beta_levels,
          .aliases = {"comfyui:beta"}};
}

// Luo et al. 2023 (arXiv:2310.04378): some of the 50 timesteps of the distillation of latent consistency models, chosen
// as by diffusers' LCMScheduler.
static std::vector<NoiseLevel> lcm_levels(const NoiseScale& scale, const ScheduleRequest& request) {
  constexpr int64_t kDistilled = 50;
  const int64_t most = std::min(kDistilled, scale.timesteps());
  if (request.steps > most) {
    throw std::invalid_argument("lcm picks from the " + std::to_string(most) +
                                " timesteps of the distillation; use at most " + std::to_string(most) + " steps");
  }
  const double between = static_cast<double>(most) / static_cast<double>(request.steps);
  std::vector<double> timesteps;
  for (int64_t i = 0; i < request.steps; ++i) {
    const auto picked = static_cast<int64_t>(std::floor(static_cast<double>(i) * between));
    timesteps.push_back(static_cast<double>((most - picked) * (scale.timesteps() / most) - 1));
  }
  return at_timesteps(scale, timesteps);
}

ScheduleRule schedule_rows::lcm() {
  return {.name = "lcm",
          .label = "LCM",
          .about = "some of the 50 timesteps at which latent consistency models were distilled",
          .source = "Luo et al. 2023, arXiv:2310.04378; diffusers' LCMScheduler",
          .levels = lcm_levels,
          .start = StartScale::unit,
          .aliases = {"diffusers:LCMScheduler", "sd.cpp:lcm"}};
}

}  // namespace steplapse
