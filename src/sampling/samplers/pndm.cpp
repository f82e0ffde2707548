#include <ATen/ATen.h>

#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Pseudo linear multistep, "PLMS" as Stable Diffusion used it: eps as Adams and Bashforth extrapolate it from four
/// steps. The first step asks twice (its second call is at its end, after Heun; diffusers lists that timestep twice): n
/// steps are n steps, with n + 1 calls. Draws nothing. Source: Liu et al. 2022 (arXiv:2202.09778), eq. 9 and 12,
/// without Runge-Kutta steps.
Trajectory sample(Tensor x, Schedule schedule, SamplerOptions, Noise) {
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

}  // namespace

Sampler sampler_rows::pndm() {
  return {.name = "pndm",
          .label = "PLMS",
          .start = sample,
          .order = 2,
          .own_last_level = true,
          .aliases = {"diffusers:PNDMScheduler", "a1111:PLMS"}};
}

}  // namespace steplapse
