
#include <cmath>

#include "base/aten.h"
#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// DEIS of order 2: takes eps as linear in log(sigma / alpha) through its last two values, and integrates it exactly.
/// Draws nothing. Source: Zhang & Chen 2022 (arXiv:2204.13902), rho-AB-DEIS with polynomials in log rho (diffusers'
/// "logrho").
Trajectory sample_deis(Tensor x, Schedule schedule, SamplerOptions, Noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  History eps(2);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    eps.add(from, p.eps);

    // x / alpha moves by the integral of eps over rho = sigma / alpha. Constant eps gives DDIM. The line in log rho
    // through the last eps adds the difference of the two times the integral of log(rho / rho_now) / log(rho_last /
    // rho_now). The step to sigma 0 is of order 1. (diffusers ends at its own last level, with order 1 below 15 steps.)
    Tensor next = to.alpha * p.x0 + to.sigma * p.eps;
    if (eps.size() == 2 && to.sigma > 0) {
      const double rho = noise_ratio(from), rho_next = noise_ratio(to);
      const double integral = rho_next * (std::log(rho_next / rho) - 1) + rho;
      next = next + to.alpha * integral / (eps[0].lambda - eps[1].lambda) * (eps[1].value - eps[0].value);
    }
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::deis() {
  return {.name = "deis",
          .label = "DEIS",
          .start = sample_deis,
          .order = 2,
          .aliases = {"diffusers:DEISMultistepScheduler"}};
}

}  // namespace steplapse
