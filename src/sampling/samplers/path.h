#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/aten.h"
#include "steplapse/sampler.h"

namespace steplapse {

/// Coordinates in which x moves along a straight line as long as the network's prediction is constant, with that
/// prediction as its slope:
///
///   training noise   x / alpha over sigma / alpha, slope eps       (Karras et al. 2022, arXiv:2206.00364)
///   flow             x over sigma, slope eps - x0                  (Lipman et al. 2023, arXiv:2210.02747)
///
/// `sigma` means the sigma of these coordinates. It is infinite only for training noise at alpha 0.
class Path {
 public:
  explicit Path(Schedule schedule) : schedule_(std::move(schedule)) {}

  bool is_flow() const { return schedule_.is_flow(); }
  double sigma(const NoiseLevel& level) const { return is_flow() ? level.sigma : noise_ratio(level); }
  NoiseLevel at(double sigma) const { return schedule_.at(is_flow() ? sigma / (1 - sigma) : sigma); }
  Tensor slope(const Prediction& p) const { return is_flow() ? p.eps - p.x0 : p.eps; }

  /// x at `to`, on the line through x at `from` with this slope.
  Tensor follow(const Tensor& x, const NoiseLevel& from, const NoiseLevel& to, const Tensor& slope) const {
    const double from_scale = is_flow() ? 1 : from.alpha, to_scale = is_flow() ? 1 : to.alpha;
    return to_scale * (x / from_scale + (sigma(to) - sigma(from)) * slope);
  }

 private:
  Schedule schedule_;
};

/// The first-order step, which is equal in all coordinates.
inline Tensor straight_to(const NoiseLevel& to, const Prediction& p) { return to.alpha * p.x0 + to.sigma * p.eps; }

/// Whether only the first-order step is possible: higher orders need finite, different log(sigma / alpha) at both ends.
inline bool is_first_order(const NoiseLevel& from, const NoiseLevel& to) {
  return from.alpha == 0 || to.sigma == 0 || noise_ratio(from) == noise_ratio(to);
}

/// Adds fresh noise before a step: moves x and its level up where s_churn asks for it, else changes neither.
/// Source: Karras et al. 2022 (arXiv:2206.00364), algorithm 2, lines 4 to 6.
inline void churn(Tensor& x, NoiseLevel& level, const Schedule& schedule, const SamplerOptions& options, Noise& noise) {
  const double k = noise_ratio(level);
  const double gamma = std::min(options.s_churn / static_cast<double>(schedule.steps()), std::sqrt(2.0) - 1);
  if (!(gamma > 0) || level.alpha == 0 || k < options.s_tmin || k > options.s_tmax) return;
  const NoiseLevel up = schedule.at(k * (1 + gamma));
  const double k_up = options.s_noise * std::sqrt((1 + gamma) * (1 + gamma) - 1) * k;
  x = up.alpha * (x / level.alpha);
  if (k_up > 0) x = x + up.alpha * k_up * noise.like(x);
  level = up;
}

}  // namespace steplapse
