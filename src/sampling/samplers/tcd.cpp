
#include <algorithm>
#include <cmath>

#include "base/aten.h"
#include "sampling/samplers/eta.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// The level at timestep (1 - gamma) t, where t is that of `level`. The timestep is rounded down, as in diffusers. For
/// flow models the timestep is 1000 sigma.
NoiseLevel below(const Schedule& schedule, const NoiseLevel& level, double gamma) {
  if (gamma == 0 || !level.timestep) return level;
  const auto& table = schedule.alphas_cumprod;
  if (table.empty()) {
    const double sigma = (1 - gamma) * level.sigma;
    return {(1 - gamma) * *level.timestep, 1 - sigma, sigma};
  }
  const double t = std::floor((1 - gamma) * *level.timestep);
  const double alpha_squared = table.at(static_cast<size_t>(t));
  return {t, std::sqrt(alpha_squared), std::sqrt(1 - alpha_squared)};
}

/// Sampling of models made by trajectory consistency distillation: a step of `ddim` to timestep (1 - gamma) t, then
/// fresh noise up to t, the timestep of the next level. `eta`, 0 to 1, is the paper's gamma, as in diffusers: 0 is
/// `ddim`; 1 keeps only x0. Draws once per step where eta is above 0, except to sigma 0 or timestep 0. Source: Zheng et
/// al. 2024 (arXiv:2402.19159), strategic stochastic sampling.
Trajectory sample_tcd(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const double gamma = options.eta;
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);

    // Denoise to s, then diffuse from there to the next level.
    const NoiseLevel s = below(schedule, to, gamma);
    const double scale = to.alpha / s.alpha;
    const double variance = to.sigma * to.sigma - scale * scale * s.sigma * s.sigma;
    const double sigma_up = options.s_noise * std::sqrt(std::max(0.0, variance));

    Tensor next = scale * (s.alpha * p.x0 + s.sigma * p.eps);
    if (sigma_up > 0) next = next + sigma_up * noise.like(x);
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::tcd() {
  return {.name = "tcd",
          .label = "TCD",
          .start = sample_tcd,
          .eta = 0.3,
          .aliases = {"diffusers:TCDScheduler", "sd.cpp:tcd"}};
}

}  // namespace steplapse
