#include <cmath>

#include "sampling/samplers/ancestral.h"
#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Ancestral DPM-Solver++(2S): a step to below the next level, then fresh noise up to it. eta, draws and flow levels
/// are as in `euler_a`. Asks twice per step. Source: Lu et al. 2022 (arXiv:2211.01095), algorithm 1 with r = 1/2;
/// k-diffusion's sample_dpmpp_2s_ancestral.
Trajectory sample_dpmpp_2s_a(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    const AncestralStep step = ancestral_step(schedule, from, to, options);
    Tensor x0 = p.x0;
    if (!is_first_order(from, step.down)) {
      const NoiseLevel middle = schedule.at(std::sqrt(noise_ratio(from) * noise_ratio(step.down)));
      const Prediction half_way = co_await predict(towards(p.x0, x, from, middle), middle);
      x0 = half_way.x0;
    }
    const Tensor next = step.up(towards(x0, x, from, step.down), noise);
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::dpmpp_2s_a() {
  return {.name = "dpmpp_2s_a",
          .label = "DPM++ 2S a",
          .start = sample_dpmpp_2s_a,
          .order = 2,
          .calls_per_step = 2,
          .eta = 1,
          .usual_schedule = "karras",
          .aliases = {"k-diffusion:sample_dpmpp_2s_ancestral", "a1111:DPM++ 2S a", "a1111:k_dpmpp_2s_a",
                      "comfyui:dpmpp_2s_ancestral", "sd.cpp:dpm++2s_a"}};
}

}  // namespace steplapse
