
#include <cmath>

#include "base/aten.h"
#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// The noise scale of ER SDE 5.
double phi(double k) { return k * (std::exp(std::pow(k, 0.3)) + 10); }

struct Integrals {
  double of_one = 0;   ///< of 1 / phi
  double of_line = 0;  ///< of (k - upper) / phi
};

/// The integrals from `lower` to `upper`, by Simpson's rule over log k, where dk / phi(k) is smooth: dk = k dlog(k).
Integrals integrate(double lower, double upper) {
  constexpr int kParts = 64;
  const double part = std::log(upper / lower) / kParts;
  Integrals sum;
  for (int i = 0; i <= kParts; ++i) {
    const double weight = (i == 0 || i == kParts ? 1 : i % 2 == 1 ? 4 : 2) * part / 3;
    const double k = lower * std::exp(part * i);
    sum.of_one += weight * k / phi(k);
    sum.of_line += weight * k * (k - upper) / phi(k);
  }
  return sum;
}

/// ER-SDE-Solver-3: solves a reverse-time SDE whose noise is given by phi(k) = k (exp(k^0.3) + 10), with k = sigma /
/// alpha. Draws once per step where s_noise is above 0, except to sigma 0. Source: Cui et al. 2023 (arXiv:2309.06169),
/// the third-order solver for variance preserving data, with the noise scale of ER SDE 5.
Trajectory sample_er_sde(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  History x0s(3);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    x0s.add(from, p.x0);

    // k is the paper's lambda. From alpha 0 the ratio of phi is 0, and only k_next is left under the root.
    const double k = noise_ratio(from), k_next = noise_ratio(to);
    const double ratio = from.alpha > 0 ? phi(k_next) / phi(k) : 0;
    const double carried = from.alpha > 0 ? k * ratio : 0;
    const double sigma_up = options.s_noise * to.alpha * std::sqrt(k_next * k_next - carried * carried);

    // x / alpha is multiplied by the ratio, and the rest is x0. In x / alpha = x0 + k eps that leaves x0 + ratio k eps.
    Tensor next = to.alpha * (p.x0 + carried * p.eps);
    if (x0s.size() > 1 && to.sigma > 0 && k_next < k) {
      const Integrals integrals = integrate(k_next, k);
      const double dk = k_next - k;
      const double k1 = std::exp(-x0s[1].lambda);
      const Tensor slope = (x0s[0].value - x0s[1].value) / (k - k1);
      next = next + to.alpha * (dk + phi(k_next) * integrals.of_one) * slope;
      if (x0s.size() == 3) {
        const double k2 = std::exp(-x0s[2].lambda);
        const Tensor slope_last = (x0s[1].value - x0s[2].value) / (k1 - k2);
        const Tensor bend = 2 * (slope - slope_last) / (k - k2);
        next = next + to.alpha * (dk * dk / 2 + phi(k_next) * integrals.of_line) * bend;
      }
    }
    if (sigma_up > 0) next = next + sigma_up * noise.like(x);
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::er_sde() {
  return {.name = "er_sde",
          .label = "ER SDE",
          .start = sample_er_sde,
          .order = 2,
          .fresh_noise = true,
          .aliases = {"comfyui:er_sde", "sd.cpp:er_sde"}};
}

}  // namespace steplapse
