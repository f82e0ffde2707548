#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Euler's method. With s_churn above 0 it adds noise before a step: one draw where sigma / alpha lies in [s_tmin,
/// s_tmax]. With s_churn 0 it draws nothing and equals `ddim` with eta 0. Source: Karras et al. 2022
/// (arXiv:2206.00364), algorithm 2 without its correction.
Trajectory sample_euler(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    NoiseLevel from = levels[i];
    const NoiseLevel to = levels[i + 1];
    churn(x, from, schedule, options, noise);
    const Prediction p = co_await predict(x, from);
    const Tensor next = straight_to(to, p);
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::euler() {
  return {.name = "euler",
          .label = "Euler",
          .start = sample_euler,
          .churns = true,
          .aliases = {"k-diffusion:sample_euler", "diffusers:EulerDiscreteScheduler",
                      "diffusers:FlowMatchEulerDiscreteScheduler", "a1111:Euler", "a1111:k_euler", "comfyui:euler",
                      "sd.cpp:euler"}};
}

}  // namespace steplapse
