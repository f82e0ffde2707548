#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "sampling/samplers/eta.h"
#include "steplapse/sampler.h"

namespace steplapse {

/// A step made of one down below its end and fresh noise up to it: x at `to` is scale * (x at down) + fresh * noise.
struct Renewal {
  NoiseLevel down;
  double scale;
  double fresh;

  Tensor operator()(const Tensor& x_down, Noise& noise) const {
    return fresh > 0 ? scale * x_down + fresh * noise.like(x_down) : scale * x_down;
  }
};

/// By way of sigma / alpha = k_down; no lower than `to`: nothing is renewed.
inline Renewal renewal_by(double k_down, const Schedule& schedule, const NoiseLevel& to,
                          const SamplerOptions& options) {
  if (k_down >= noise_ratio(to)) return {to, 1, 0};
  const NoiseLevel down = schedule.at(k_down);
  const double kept = to.alpha * k_down;  // of to.sigma² = kept² + fresh²
  return {down, to.alpha / down.alpha, options.s_noise * std::sqrt(std::max(0.0, to.sigma * to.sigma - kept * kept))};
}

/// Renewed noise as in the posterior of x at `to` given x at `from` (Song et al. 2021, arXiv:2011.13456, appendix F), times
/// eta: fresh is eta k_to sqrt(1 - k_to² / k_from²) in k = sigma / alpha. From alpha 0 that is eta k_to, all of it at eta 1.
/// The way down ends at `lowest`.
inline Renewal renewal(const Schedule& schedule, const NoiseLevel& from, const NoiseLevel& to,
                       const SamplerOptions& options, double lowest = 0) {
  if (options.eta == 0 || to.alpha == 0) return {to, 1, 0};
  const double k_to = noise_ratio(to), fall = (to.sigma * from.alpha) / (to.alpha * from.sigma);
  const double renewed = options.eta * options.eta * std::max(0.0, 1 - fall * fall);
  return renewal_by(std::max(lowest, k_to * std::sqrt(1 - renewed)), schedule, to, options);
}

/// As the samplers named ancestral do it. Flow models go by ComfyUI's rule for them: down to sigma = to.sigma times
/// 1 + eta (to.sigma / from.sigma - 1), for which there is less fresh noise than in the posterior.
inline Renewal ancestral(const Schedule& schedule, const NoiseLevel& from, const NoiseLevel& to,
                         const SamplerOptions& options) {
  const bool is_flow = schedule.is_flow();
  if (!is_flow || options.eta == 0 || to.sigma == from.sigma) return renewal(schedule, from, to, options);
  const double sigma_down = to.sigma * (1 + options.eta * (to.sigma / from.sigma - 1));
  return renewal_by(sigma_down / (1 - sigma_down), schedule, to, options);
}

/// DPM-Solver++ of order 1, Lu et al. 2022 (arXiv:2211.01095), section 4: on from `x` as if x0 were this all the way.
inline Tensor towards(const Tensor& x0, const Tensor& x, const NoiseLevel& from, const NoiseLevel& to) {
  const double decay = to.sigma / from.sigma;
  return decay * x + (to.alpha - decay * from.alpha) * x0;
}

}  // namespace steplapse
