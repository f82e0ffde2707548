#include <ATen/ATen.h>

#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {

Trajectory sample_pndm(Tensor x, Schedule schedule, SamplerOptions, Noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  std::deque<Tensor> past;  // eps, newest first
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    past.push_front(p.eps);  // as the paper has it; diffusers keeps what the model said, which may be v
    if (past.size() > 4) past.pop_back();

    Tensor next = to.alpha * p.x0 + to.sigma * p.eps;
    if (from.alpha > 0 && to.sigma > 0) {
      Tensor e = adams_bashforth(past);
      if (i == 0 && levels.size() > 2) {
        const Prediction end = co_await predict(next, to);
        e = (p.eps + end.eps) / 2;
      }
      // Eq. 9, the transfer, is DDIM's step along e: x / alpha moves by e times what sigma / alpha moves by.
      next = to.alpha * (x / from.alpha + (noise_ratio(to) - noise_ratio(from)) * e);
    }
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace steplapse
