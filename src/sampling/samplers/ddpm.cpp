#include <ATen/ATen.h>

#include <cmath>

#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Ancestral sampling, the way back through the noising that made x. Draws once a step but to sigma 0; clips x0, and
/// with it the noise that x is told to have. Source: Ho et al. 2020 (arXiv:2006.11239), eq. 6 and 7, with that
/// posterior's own variance (diffusers' "fixed_small"), between the levels listed.
Trajectory sample(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);

    Tensor x0 = p.x0;
    if (options.clip_sample_range) x0 = x0.clamp(-*options.clip_sample_range, *options.clip_sample_range);

    // Noising from `to` to `from` keeps a share of x and adds noise of a variance: theirs sqrt(alpha_t) and beta_t.
    const double kept = from.alpha / to.alpha;
    const double added = from.sigma * from.sigma - kept * kept * to.sigma * to.sigma;

    // Eq. 7 with the noise left in x after x0, which clipping changes, as the paper and diffusers have it (DDIM keeps
    // eps).
    const double shrunk = (to.sigma / from.sigma) * (to.sigma / from.sigma);
    const double fresh = options.s_noise * (to.sigma / from.sigma) * std::sqrt(added);

    Tensor next = to.alpha * x0 + shrunk * kept * (x - from.alpha * x0);
    if (fresh > 0) next = next + fresh * noise.like(x);
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::ddpm() {
  return {.name = "ddpm",
          .label = "DDPM",
          .start = sample,
          .fresh_noise = true,
          .aliases = {"diffusers:DDPMScheduler", "comfyui:ddpm"}};
}

}  // namespace steplapse
