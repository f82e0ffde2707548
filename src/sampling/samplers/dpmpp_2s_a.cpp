#include <cmath>

#include "sampling/samplers/ancestral.h"
#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {

Trajectory sample_dpmpp_2s_a(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    const Renewal up = ancestral(schedule, from, to, options);
    Tensor x0 = p.x0;
    if (!is_first_order(from, up.down)) {
      const NoiseLevel middle = schedule.at(std::sqrt(noise_ratio(from) * noise_ratio(up.down)));
      const Prediction half_way = co_await predict(towards(p.x0, x, from, middle), middle);
      x0 = half_way.x0;
    }
    const Tensor next = up(towards(x0, x, from, up.down), noise);
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace steplapse
