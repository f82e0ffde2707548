#include <cmath>

#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// DPM-Solver-2 with the midpoint rule: the slope of the whole step is that at its middle in log sigma. Asks twice per
/// step; draws as `euler` does. Source: Lu et al. 2022 (arXiv:2206.00927), algorithm 1, with the midpoint rule in place
/// of its last line, and the churn of Karras et al. 2022 (arXiv:2206.00364), as in k-diffusion's sample_dpm_2. (Web UIs
/// give it a schedule of one step more without the last level but one: ScheduleRequest::drops_penultimate.)
Trajectory sample_dpm2(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
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
      const NoiseLevel middle = path.at(std::sqrt(path.sigma(from) * path.sigma(to)));
      const Prediction half_way = co_await predict(straight_to(middle, p), middle);
      next = path.follow(x, from, to, path.slope(half_way));
    }
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::dpm2() {
  return {.name = "dpm2",
          .label = "DPM2",
          .start = sample_dpm2,
          .order = 2,
          .calls_per_step = 2,
          .churns = true,
          .usual_schedule = "karras",
          .aliases = {"k-diffusion:sample_dpm_2", "diffusers:KDPM2DiscreteScheduler", "a1111:DPM2", "a1111:k_dpm_2",
                      "comfyui:dpm_2", "sd.cpp:dpm2"}};
}

}  // namespace steplapse
