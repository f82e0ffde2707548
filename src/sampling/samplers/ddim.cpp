
#include <algorithm>
#include <cmath>

#include "base/aten.h"
#include "sampling/samplers/eta.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// Denoising diffusion implicit models, with a share `eta` of fresh noise. Asks once per step; draws once per step
/// where eta is above 0. Source: Song, Meng & Ermon 2021 (arXiv:2010.02502), eq. 12 and 16.
/// @throws std::invalid_argument  when first resumed: as check_levels; eta outside 0 to 1
Trajectory sample_ddim(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const auto& levels = schedule.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);

    // Clipping does not change eps, as in diffusers.
    Tensor x0 = p.x0;
    if (options.clip_sample_range) x0 = x0.clamp(-*options.clip_sample_range, *options.clip_sample_range);

    // Eq. 16 gives the standard deviation of the fresh noise; the rest of to.sigma points along eps (eq. 12). Under the
    // root stands the variance that is added from `to` to `from`. The paper writes it 1 - alpha_from²/alpha_to²; this
    // form holds for flow levels too.
    const double scaled = (from.alpha / to.alpha) * to.sigma;
    const double sigma_eta =
        options.eta * (to.sigma / from.sigma) * std::sqrt(from.sigma * from.sigma - scaled * scaled);
    const double direction = std::sqrt(std::max(0.0, to.sigma * to.sigma - sigma_eta * sigma_eta));
    const double sigma_up = options.s_noise * sigma_eta;

    Tensor next = to.alpha * x0 + direction * p.eps;
    if (sigma_up > 0) next = next + sigma_up * noise.like(x);
    x = co_await step_done(i + 1, to, next, x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::ddim() {
  return {.name = "ddim",
          .label = "DDIM",
          .start = sample_ddim,
          .eta = 0,
          .ends_at_final_alpha = true,
          .aliases = {"diffusers:DDIMScheduler", "a1111:DDIM", "a1111:ddim", "comfyui:ddim"}};
}

}  // namespace steplapse
