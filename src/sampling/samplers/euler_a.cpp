#include "sampling/samplers/ancestral.h"
#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Euler steps to below the next level, and fresh noise up to it, as `eta` says: 0 is Euler. One draw a step while eta > 0,
/// none to sigma 0. Source: Song et al. 2021 (arXiv:2011.13456), appendix F, at eta 1; eta is k-diffusion's
/// (sample_euler_ancestral). diffusers has eta 1 alone. For flow levels, ComfyUI's sample_euler_ancestral_RF.
Trajectory sample(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    const Renewal up = ancestral(schedule, from, to, options);
    const Tensor next = up(straight_to(up.down, p), noise);
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::euler_a() {
  return {.name = "euler_a",
          .label = "Euler a",
          .start = sample,
          .eta = 1,
          .aliases = {"k-diffusion:sample_euler_ancestral", "diffusers:EulerAncestralDiscreteScheduler",
                      "a1111:Euler a", "a1111:k_euler_a", "comfyui:euler_ancestral", "sd.cpp:euler_a"}};
}

}  // namespace steplapse
