#include <cmath>

#include "sampling/samplers/ancestral.h"
#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// DPM-Solver++ for the SDE: 2S whose middle is noisy as well. The noise of the whole step goes on from that of its first
/// half. Asks twice a step; draws twice a step while eta > 0, once from alpha 0 and never to sigma 0. Source: k-diffusion's
/// sample_dpmpp_sde (r = 1/2), after Lu et al. 2022 (arXiv:2211.01095). k-diffusion and diffusers (DPMSolverSDEScheduler) draw
/// from a Brownian tree with a seed of its own: the same law, other numbers.
Trajectory sample(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const Path path(schedule);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    const Renewal up = renewal(schedule, from, to, options);
    Tensor next;
    if (is_first_order(from, to)) {
      next = up(towards(p.x0, x, from, up.down), noise);
    } else {
      const NoiseLevel middle = schedule.at(std::sqrt(noise_ratio(from) * noise_ratio(to)));
      const Renewal up_half = renewal(schedule, from, middle, options);
      Tensor x_half = up_half.scale * towards(p.x0, x, from, up_half.down);
      Tensor first;
      if (up_half.fresh > 0) {
        first = noise.like(x);
        x_half = x_half + up_half.fresh * first;
      }
      const Prediction half_way = co_await predict(x_half, middle);

      next = up.scale * towards(half_way.x0, x, from, up.down);
      if (up_half.fresh > 0) {
        // One Brownian path, in sigma as k-diffusion's: what the first half drew is part of the whole.
        const double share = (path.sigma(from) - path.sigma(middle)) / (path.sigma(from) - path.sigma(to));
        next = next + up.fresh * (std::sqrt(share) * first + std::sqrt(1 - share) * noise.like(x));
      }
    }
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::dpmpp_sde() {
  return {.name = "dpmpp_sde",
          .label = "DPM++ SDE",
          .start = sample,
          .order = 2,
          .calls_a_step = 2,
          .eta = 1,
          .usual_schedule = "karras",
          .aliases = {"k-diffusion:sample_dpmpp_sde", "diffusers:DPMSolverSDEScheduler", "a1111:DPM++ SDE",
                      "a1111:k_dpmpp_sde", "comfyui:dpmpp_sde"}};
}

}  // namespace steplapse
