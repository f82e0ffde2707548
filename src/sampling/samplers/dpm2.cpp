#include <cmath>

#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// The slope of the whole step is asked half way, in log sigma. Source: DPM-Solver-2, Lu et al. 2022 (arXiv:2206.00927),
/// algorithm 1, with the midpoint rule in place of its last line and the churn of Karras et al. 2022, as k-diffusion's
/// sample_dpm_2 has it. Asks twice a step; noise as for Euler. Web UIs give it a list of one level more and leave out
/// the last but one; that is their schedule's matter.
Trajectory sample(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
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
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::dpm2() {
  return {.name = "dpm2",
          .label = "DPM2",
          .start = sample,
          .order = 2,
          .calls_a_step = 2,
          .churns = true,
          .usual_schedule = "karras",
          .aliases = {"k-diffusion:sample_dpm_2", "diffusers:KDPM2DiscreteScheduler", "a1111:DPM2", "a1111:k_dpm_2",
                      "comfyui:dpm_2", "sd.cpp:dpm2"}};
}

}  // namespace steplapse
