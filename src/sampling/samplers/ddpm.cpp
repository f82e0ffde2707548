
#include <cmath>

#include "base/aten.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Ancestral sampling between the schedule's levels, with the posterior's own variance (diffusers' "fixed_small").
/// Draws once per step, except to sigma 0. Clipping x0 changes the noise that is left in x too. Source: Ho et al. 2020
/// (arXiv:2006.11239), eq. 6 and 7.
Trajectory sample_ddpm(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);

    Tensor x0 = p.x0;
    if (options.clip_sample_range) x0 = x0.clamp(-*options.clip_sample_range, *options.clip_sample_range);

    // Noising from `to` to `from` multiplies x by sqrt(alpha_t) and adds noise of variance beta_t, in the paper's
    // letters.
    const double sqrt_alpha_t = from.alpha / to.alpha;
    const double beta_t = from.sigma * from.sigma - sqrt_alpha_t * sqrt_alpha_t * to.sigma * to.sigma;

    // Eq. 7, with the noise x - alpha x0, which clipping changes, as in the paper and in diffusers. (DDIM keeps eps.)
    const double shrunk = (to.sigma / from.sigma) * (to.sigma / from.sigma);
    const double sigma_up = options.s_noise * (to.sigma / from.sigma) * std::sqrt(beta_t);

    Tensor next = to.alpha * x0 + shrunk * sqrt_alpha_t * (x - from.alpha * x0);
    if (sigma_up > 0) next = next + sigma_up * noise.like(x);
    x = co_await step_done(i + 1, to, next, x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::ddpm() {
  return {.name = "ddpm",
          .label = "DDPM",
          .start = sample_ddpm,
          .fresh_noise = true,
          .aliases = {"diffusers:DDPMScheduler", "comfyui:ddpm"}};
}

}  // namespace steplapse
