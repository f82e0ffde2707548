
#include <cmath>

#include "base/aten.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Sampling of latent consistency models: the model's x0, then fresh noise up to the next level. Draws once per step,
/// except to sigma 0. Source: Luo et al. 2023 (arXiv:2310.04378), multistep sampling, with the boundary conditions in
/// the network's timestep.
Trajectory sample_lcm(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);

    // The consistency function is x at timestep 0, and nearly x0 from a few timesteps on. The scale of the timestep,
    // 10, and sigma_data are those of the models' distillation.
    const double t = 10 * from.timestep.value_or(0), sigma_data = 0.5;
    const double c_skip = sigma_data * sigma_data / (t * t + sigma_data * sigma_data);
    const double c_out = t / std::hypot(t, sigma_data);
    const Tensor x0 = c_skip * x + c_out * p.x0;

    const double sigma_up = options.s_noise * to.sigma;
    Tensor next = to.alpha * x0;
    if (sigma_up > 0) next = next + sigma_up * noise.like(x);
    x = co_await step_done(i + 1, to, next, x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::lcm() {
  return {.name = "lcm",
          .label = "LCM",
          .start = sample_lcm,
          .fresh_noise = true,
          .aliases = {"diffusers:LCMScheduler", "a1111:LCM", "a1111:k_lcm", "comfyui:lcm", "sd.cpp:lcm"}};
}

}  // namespace steplapse
