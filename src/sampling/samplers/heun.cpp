#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Heun's method: an Euler step, made again with the mean of the slopes at its two ends. Asks twice per step; draws as
/// `euler` does. Source: Karras et al. 2022 (arXiv:2206.00364), algorithm 2.
Trajectory sample_heun(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  const Path path(schedule);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    NoiseLevel from = levels[i];
    const NoiseLevel to = levels[i + 1];
    churn(x, from, schedule, options, noise);
    const Prediction p = co_await predict(x, from);
    Tensor next = straight_to(to, p);
    if (!is_first_order(from, to)) {
      const Prediction ahead = co_await predict(next, to);
      next = path.follow(x, from, to, (path.slope(p) + path.slope(ahead)) / 2);
    }
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::heun() {
  return {.name = "heun",
          .label = "Heun",
          .start = sample_heun,
          .order = 2,
          .calls_per_step = 2,
          .churns = true,
          .usual_schedule = "karras",
          .aliases = {"k-diffusion:sample_heun", "diffusers:HeunDiscreteScheduler", "a1111:Heun", "a1111:k_heun",
                      "comfyui:heun", "sd.cpp:heun"}};
}

}  // namespace steplapse
