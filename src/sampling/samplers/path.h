#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "steplapse/sampler.h"

namespace steplapse {

/// The coordinates in which x moves on a straight line while the network's answer stays what it is, and its slope is that
/// answer:
///
///   training noise   x / alpha over sigma / alpha, slope eps       (Karras et al. 2022, arXiv:2206.00364)
///   flow             x over sigma, slope eps - x0                  (Lipman et al. 2023, arXiv:2210.02747)
///
/// `sigma` here is the one of these coordinates: infinite at alpha 0 of training noise, elsewhere finite.
class Path {
 public:
  explicit Path(Schedule schedule) : schedule_(std::move(schedule)) {}

  bool is_flow() const { return schedule_.is_flow(); }
  double sigma(const NoiseLevel& level) const { return is_flow() ? level.sigma : noise_ratio(level); }
  NoiseLevel at(double sigma) const { return schedule_.at(is_flow() ? sigma / (1 - sigma) : sigma); }
  Tensor slope(const Prediction& p) const { return is_flow() ? p.eps - p.x0 : p.eps; }

  /// x at `to`, where the line through x at `from` with this slope leads.
  Tensor follow(const Tensor& x, const NoiseLevel& from, const NoiseLevel& to, const Tensor& slope) const {
    const double from_scale = is_flow() ? 1 : from.alpha, to_scale = is_flow() ? 1 : to.alpha;
    return to_scale * (x / from_scale + (sigma(to) - sigma(from)) * slope);
  }

 private:
  Schedule schedule_;
};

/// The first-order step, the same in all coordinates.
inline Tensor straight_to(const NoiseLevel& to, const Prediction& p) { return to.alpha * p.x0 + to.sigma * p.eps; }

/// Higher orders need log(sigma / alpha) at both ends, finite and not the same.
inline bool is_first_order(const NoiseLevel& from, const NoiseLevel& to) {
  return from.alpha == 0 || to.sigma == 0 || noise_ratio(from) == noise_ratio(to);
}

/// Before a step, Karras et al. 2022, algorithm 2, lines 4 to 6: moves x and its level up by fresh noise, or leaves both.
inline void churn(Tensor& x, NoiseLevel& level, const Schedule& schedule, const SamplerOptions& options, Noise& noise) {
  const double k = noise_ratio(level);
  const double gamma = std::min(options.s_churn / static_cast<double>(schedule.steps()), std::sqrt(2.0) - 1);
  if (!(gamma > 0) || level.alpha == 0 || k < options.s_tmin || k > options.s_tmax) return;
  const NoiseLevel up = schedule.at(k * (1 + gamma));
  const double fresh = options.s_noise * std::sqrt((1 + gamma) * (1 + gamma) - 1) * k;
  x = up.alpha * (x / level.alpha);
  if (fresh > 0) x = x + up.alpha * fresh * noise.like(x);
  level = up;
}

}  // namespace steplapse
