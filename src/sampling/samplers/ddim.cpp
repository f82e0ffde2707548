#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "sampling/samplers/eta.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Denoising diffusion implicit models, with `eta` share of fresh noise. Source: Song et al. 2021 (arXiv:2010.02502),
/// eq. 12 and 16. Asks once a step; draws once a step while eta > 0.
/// @throws std::invalid_argument  when first resumed: see check_levels; eta outside 0..1.
Trajectory sample(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);

    // Clipping leaves eps as the network gave it, as diffusers does.
    Tensor x0 = p.x0;
    if (options.clip_sample_range) x0 = x0.clamp(-*options.clip_sample_range, *options.clip_sample_range);

    // Eq. 16: the share of the noise at `to` that is drawn anew; the rest points along eps (eq. 12). Under the root is
    // the variance of noising from `to` to `from`, theirs 1 - alpha_from²/alpha_to²; so it holds for flow levels too.
    const double kept = (from.alpha / to.alpha) * to.sigma;
    const double renewed = options.eta * (to.sigma / from.sigma) * std::sqrt(from.sigma * from.sigma - kept * kept);
    const double direction = std::sqrt(std::max(0.0, to.sigma * to.sigma - renewed * renewed));
    const double fresh = options.s_noise * renewed;

    Tensor next = to.alpha * x0 + direction * p.eps;
    if (fresh > 0) next = next + fresh * noise.like(x);
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::ddim() {
  return {.name = "ddim",
          .label = "DDIM",
          .start = sample,
          .eta = 0,
          .own_last_level = true,
          .aliases = {"diffusers:DDIMScheduler", "a1111:DDIM", "a1111:ddim", "comfyui:ddim"}};
}

}  // namespace steplapse
