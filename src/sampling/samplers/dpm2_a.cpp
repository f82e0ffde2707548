#include <cmath>

#include "sampling/samplers/ancestral.h"
#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Ancestral DPM2: a step of `dpm2` to below the next level, then fresh noise up to it. eta, draws and flow levels are
/// as in `euler_a`. Asks twice per step. Source: k-diffusion's sample_dpm_2_ancestral; Lu et al. 2022
/// (arXiv:2206.00927), algorithm 1.
Trajectory sample_dpm2_a(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const Path path(schedule);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    const AncestralStep step = ancestral_step(schedule, from, to, options);
    Tensor below = straight_to(step.down, p);
    if (!is_first_order(from, step.down)) {
      const NoiseLevel middle = path.at(std::sqrt(path.sigma(from) * path.sigma(step.down)));
      const Prediction half_way = co_await predict(straight_to(middle, p), middle);
      below = path.follow(x, from, step.down, path.slope(half_way));
    }
    const Tensor next = step.up(below, noise);
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::dpm2_a() {
  return {.name = "dpm2_a",
          .label = "DPM2 a",
          .start = sample_dpm2_a,
          .order = 2,
          .calls_per_step = 2,
          .eta = 1,
          .usual_schedule = "karras",
          .aliases = {"k-diffusion:sample_dpm_2_ancestral", "diffusers:KDPM2AncestralDiscreteScheduler", "a1111:DPM2 a",
                      "a1111:k_dpm_2_a", "comfyui:dpm_2_ancestral"}};
}

}  // namespace steplapse
