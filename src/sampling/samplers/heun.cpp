#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {

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
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace steplapse
