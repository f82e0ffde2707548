#include "sampling/samplers/ancestral.h"
#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Ancestral Euler: an Euler step to below the next level, then fresh noise up to it. eta 0 is `euler`. Draws once per
/// step where eta is above 0, except to sigma 0. Source: Song et al. 2021 (arXiv:2011.13456), appendix F, for eta 1;
/// k-diffusion's sample_euler_ancestral for eta (diffusers has only eta 1); ComfyUI's sample_euler_ancestral_RF for
/// flow levels.
Trajectory sample_euler_a(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    const AncestralStep step = ancestral_step(schedule, from, to, options);
    const Tensor next = step.up(straight_to(step.down, p), noise);
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::euler_a() {
  return {.name = "euler_a",
          .label = "Euler a",
          .start = sample_euler_a,
          .eta = 1,
          .aliases = {"k-diffusion:sample_euler_ancestral", "diffusers:EulerAncestralDiscreteScheduler",
                      "a1111:Euler a", "a1111:k_euler_a", "comfyui:euler_ancestral", "sd.cpp:euler_a"}};
}

}  // namespace steplapse
