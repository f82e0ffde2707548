#include <cmath>

#include "sampling/samplers/ancestral.h"
#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {

Trajectory sample_dpmpp_sde(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
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

}  // namespace steplapse
