
#include <cmath>

#include "base/aten.h"
#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// DPM-Solver++(2M): extrapolates x0 from its last two values to the middle of the step. Asks once per step; draws
/// nothing. Source: Lu et al. 2022 (arXiv:2211.01095), algorithm 2.
Trajectory sample_dpmpp_2m(Tensor x, Schedule schedule, SamplerOptions, Noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  History x0s(2);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    x0s.add(from, p.x0);

    // Infinite from alpha 0 and to sigma 0, where exp(-h) is 0.
    const double h = lambda_of(to) - lambda_of(from);

    // The step to sigma 0 is of order 1, as in k-diffusion. (diffusers lowers the order of the last step where there
    // are fewer than 15 steps, which gives the same on schedules that end at sigma 0.)
    Tensor d = p.x0;
    if (x0s.size() == 2 && to.sigma > 0) {
      const double r = (x0s[0].lambda - x0s[1].lambda) / h;
      d = (1 + 1 / (2 * r)) * x0s[0].value - 1 / (2 * r) * x0s[1].value;
    }
    const Tensor next = to.sigma / from.sigma * x - to.alpha * std::expm1(-h) * d;
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::dpmpp_2m() {
  return {.name = "dpmpp_2m",
          .label = "DPM++ 2M",
          .start = sample_dpmpp_2m,
          .order = 2,
          .usual_schedule = "karras",
          .aliases = {"diffusers:DPMSolverMultistepScheduler", "a1111:DPM++ 2M", "a1111:k_dpmpp_2m",
                      "k-diffusion:sample_dpmpp_2m", "comfyui:dpmpp_2m", "sd.cpp:dpm++2m"}};
}

}  // namespace steplapse
