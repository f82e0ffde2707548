
#include <cmath>

#include "base/aten.h"
#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// RES, multistep: an exponential integrator that follows x0 with one derivative. Asks once per step; draws nothing.
/// Source: Zhang et al. 2023 (arXiv:2308.02157), the second-order multistep scheme, which equals DPM-Solver++(2M) in
/// k-diffusion's "heun" form.
Trajectory sample_res_multistep(Tensor x, Schedule schedule, SamplerOptions, Noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  History x0s(2);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    x0s.add(from, p.x0);

    // Infinite from alpha 0 and to sigma 0, where exp(-h) is 0.
    const double h = lambda_of(to) - lambda_of(from);
    Tensor next = to.sigma / from.sigma * x - to.alpha * std::expm1(-h) * p.x0;
    if (x0s.size() == 2 && to.sigma > 0 && h > 0) {
      // The node c2 of the second-order scheme is the last level, before this one: b2 = phi_2(-h) / c2 and
      // b1 = phi_1(-h) - b2.
      const double c2 = (x0s[1].lambda - x0s[0].lambda) / h;
      const double phi_1 = std::expm1(-h) / -h, phi_2 = (phi_1 - 1) / -h;
      next = next + to.alpha * h * (phi_2 / c2) * (x0s[1].value - x0s[0].value);
    }
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::res_multistep() {
  return {.name = "res_multistep",
          .label = "Res Multistep",
          .start = sample_res_multistep,
          .order = 2,
          .aliases = {"comfyui:res_multistep", "sd.cpp:res_multistep"}};
}

}  // namespace steplapse
