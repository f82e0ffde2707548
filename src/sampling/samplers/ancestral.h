#pragma once

#include <algorithm>
#include <cmath>

#include "base/aten.h"
#include "sampling/samplers/eta.h"
#include "steplapse/sampler.h"

namespace steplapse {

/// A step in two parts: the sampler goes to `down`, a level below the step's end `to`, and fresh noise brings x back
/// up: x at `to` = scale * (x at down) + sigma_up * noise. (k-diffusion: sigma_down and sigma_up.)
struct AncestralStep {
  NoiseLevel down;
  double scale;
  double sigma_up;

  /// Goes from x at `down` to x at `to`.
  Tensor up(const Tensor& x_down, Noise& noise) const {
    return sigma_up > 0 ? scale * x_down + sigma_up * noise.like(x_down) : scale * x_down;
  }
};

/// The step that goes down to sigma / alpha = k_down. Where that is not below `to`, it draws no noise.
inline AncestralStep step_by_way_of(double k_down, const Schedule& schedule, const NoiseLevel& to,
                                    const SamplerOptions& options) {
  if (k_down >= noise_ratio(to)) return {to, 1, 0};
  const NoiseLevel down = schedule.at(k_down);
  const double sigma_down = to.alpha * k_down;  // in the scale of x at `to`: to.sigma² = sigma_down² + sigma_up²
  return {down, to.alpha / down.alpha,
          options.s_noise * std::sqrt(std::max(0.0, to.sigma * to.sigma - sigma_down * sigma_down))};
}

/// The step whose fresh noise is eta times that of the posterior of x at `to` given x at `from`: with k = sigma /
/// alpha, k_up = eta k_to sqrt(1 - k_to² / k_from²). From alpha 0 this is eta k_to.
/// @param lowest  the least sigma / alpha to go down to
///
/// Source: Song et al. 2021 (arXiv:2011.13456), appendix F.
inline AncestralStep posterior_step(const Schedule& schedule, const NoiseLevel& from, const NoiseLevel& to,
                                    const SamplerOptions& options, double lowest = 0) {
  if (options.eta == 0 || to.alpha == 0) return {to, 1, 0};
  const double k_to = noise_ratio(to), fall = (to.sigma * from.alpha) / (to.alpha * from.sigma);
  const double up_squared = options.eta * options.eta * std::max(0.0, 1 - fall * fall);  // (k_up / k_to)²
  return step_by_way_of(std::max(lowest, k_to * std::sqrt(1 - up_squared)), schedule, to, options);
}

/// The step of the samplers named ancestral: posterior_step, but for flow models ComfyUI's rule, which goes down to
/// sigma = to.sigma * (1 + eta * (to.sigma / from.sigma - 1)) and draws less noise than the posterior has.
inline AncestralStep ancestral_step(const Schedule& schedule, const NoiseLevel& from, const NoiseLevel& to,
                                    const SamplerOptions& options) {
  if (!schedule.is_flow() || options.eta == 0 || to.sigma == from.sigma) {
    return posterior_step(schedule, from, to, options);
  }
  const double sigma_down = to.sigma * (1 + options.eta * (to.sigma / from.sigma - 1));
  return step_by_way_of(sigma_down / (1 - sigma_down), schedule, to, options);
}

/// The step of DPM-Solver++ of order 1 (Lu et al. 2022, arXiv:2211.01095, section 4), which is exact where x0 is
/// constant.
inline Tensor towards(const Tensor& x0, const Tensor& x, const NoiseLevel& from, const NoiseLevel& to) {
  const double decay = to.sigma / from.sigma;
  return decay * x + (to.alpha - decay * from.alpha) * x0;
}

}  // namespace steplapse
