#include <cmath>

#include "sampling/samplers/ancestral.h"
#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {

Trajectory sample_dpm2_a(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const Path path(schedule);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    const Renewal up = ancestral(schedule, from, to, options);
    Tensor below = straight_to(up.down, p);
    if (!is_first_order(from, up.down)) {
      const NoiseLevel middle = path.at(std::sqrt(path.sigma(from) * path.sigma(up.down)));
      const Prediction half_way = co_await predict(straight_to(middle, p), middle);
      below = path.follow(x, from, up.down, path.slope(half_way));
    }
    const Tensor next = up(below, noise);
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace steplapse
