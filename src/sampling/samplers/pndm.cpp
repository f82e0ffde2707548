
#include "base/aten.h"
#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Pseudo linear multistep (PLMS), as Stable Diffusion used it: extrapolates eps from its last four values by the
/// formulas of Adams and Bashforth. The first step asks a second time at its end, as Heun's method does, so n steps
/// take n + 1 calls. (diffusers lists that timestep twice.) Draws nothing. Source: Liu et al. 2022 (arXiv:2202.09778),
/// eq. 9 and 12, without the Runge-Kutta steps.
Trajectory sample_pndm(Tensor x, Schedule schedule, SamplerOptions, Noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  std::deque<Tensor> past;  // eps, newest first
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    past.push_front(p.eps);  // as in the paper; diffusers keeps the model's output, which may be v
    if (past.size() > 4) past.pop_back();

    Tensor next = to.alpha * p.x0 + to.sigma * p.eps;
    if (from.alpha > 0 && to.sigma > 0) {
      Tensor e = adams_bashforth(past);
      if (i == 0 && levels.size() > 2) {
        const Prediction end = co_await predict(next, to);
        e = (p.eps + end.eps) / 2;
      }
      // Eq. 9 is DDIM's step along e: x / alpha changes by e times the change of sigma / alpha.
      next = to.alpha * (x / from.alpha + (noise_ratio(to) - noise_ratio(from)) * e);
    }
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::pndm() {
  return {.name = "pndm",
          .label = "PLMS",
          .start = sample_pndm,
          .order = 2,
          .ends_at_final_alpha = true,
          .aliases = {"diffusers:PNDMScheduler", "a1111:PLMS"}};
}

}  // namespace steplapse
