#include <cmath>

#include "sampling/samplers/ancestral.h"
#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// DPM-Solver++ for the SDE: DPM-Solver++(2S) with fresh noise at the middle of the step too. The noise of the whole
/// step continues that of its first half. Asks twice per step; draws twice per step where eta is above 0, once from
/// alpha 0, and never to sigma 0. Source: k-diffusion's sample_dpmpp_sde (r = 1/2), after Lu et al. 2022
/// (arXiv:2211.01095). (k-diffusion and diffusers' DPMSolverSDEScheduler draw from a Brownian tree with its own seed:
/// other numbers of the same distribution.)
Trajectory sample_dpmpp_sde(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const Path path(schedule);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    const AncestralStep step = posterior_step(schedule, from, to, options);
    Tensor next;
    if (is_first_order(from, to)) {
      next = step.up(towards(p.x0, x, from, step.down), noise);
    } else {
      const NoiseLevel middle = schedule.at(std::sqrt(noise_ratio(from) * noise_ratio(to)));
      const AncestralStep half_step = posterior_step(schedule, from, middle, options);
      Tensor x_half = half_step.scale * towards(p.x0, x, from, half_step.down);
      Tensor first;
      if (half_step.sigma_up > 0) {
        first = noise.like(x);
        x_half = x_half + half_step.sigma_up * first;
      }
      const Prediction half_way = co_await predict(x_half, middle);

      next = step.scale * towards(half_way.x0, x, from, step.down);
      if (half_step.sigma_up > 0) {
        // One Brownian path over sigma, as in k-diffusion: the noise of the first half is part of that of the whole
        // step.
        const double share = (path.sigma(from) - path.sigma(middle)) / (path.sigma(from) - path.sigma(to));
        next = next + step.sigma_up * (std::sqrt(share) * first + std::sqrt(1 - share) * noise.like(x));
      }
    }
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::dpmpp_sde() {
  return {.name = "dpmpp_sde",
          .label = "DPM++ SDE",
          .start = sample_dpmpp_sde,
          .order = 2,
          .calls_per_step = 2,
          .eta = 1,
          .usual_schedule = "karras",
          .aliases = {"k-diffusion:sample_dpmpp_sde", "diffusers:DPMSolverSDEScheduler", "a1111:DPM++ SDE",
                      "a1111:k_dpmpp_sde", "comfyui:dpmpp_sde"}};
}

}  // namespace steplapse
