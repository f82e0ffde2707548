
#include "base/aten.h"
#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// iPNDM: pseudo linear multistep (`pndm`) without the extra first call; the first steps use lower orders. Asks once
/// per step; draws nothing. Source: Zhang & Chen 2022 (arXiv:2204.13902), which names it.
Trajectory sample_ipndm(Tensor x, Schedule schedule, SamplerOptions, Noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  std::deque<Tensor> past;  // eps, newest first
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    past.push_front(p.eps);
    if (past.size() > 4) past.pop_back();

    // From alpha 0 and to sigma 0 the step is of first order; k-diffusion's forks do so to sigma 0. (diffusers uses
    // four values to sigma 0, and takes x0 as 0 at alpha 0.)
    Tensor next = to.alpha * p.x0 + to.sigma * p.eps;
    if (from.alpha > 0 && to.sigma > 0) {
      next = to.alpha * (x / from.alpha + (noise_ratio(to) - noise_ratio(from)) * adams_bashforth(past));
    }
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::ipndm() {
  return {.name = "ipndm",
          .label = "IPNDM",
          .start = sample_ipndm,
          .order = 2,
          .aliases = {"diffusers:IPNDMScheduler", "comfyui:ipndm", "sd.cpp:ipndm"}};
}

}  // namespace steplapse
