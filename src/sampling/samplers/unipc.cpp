#include <ATen/ATen.h>

#include <cmath>

#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// The derivative of x0 by lambda, times `h`, from two of them.
Tensor slope(const History::Past& from, const History::Past& to, double h) {
  return (to.value - from.value) * (h / (to.lambda - from.lambda));
}

/// UniC less UniP for the step that ended at the newest of two or three x0: what both multiply by -alpha B(h). With one
/// x0 before the newest they are of order 1, with two of order 2.
Tensor correction(const History& x0s) {
  const Tensor d_end = x0s[0].value - x0s[1].value;
  if (x0s.size() == 2) return d_end / 2;
  const double h = x0s[0].lambda - x0s[1].lambda, r = (x0s[2].lambda - x0s[1].lambda) / h;

  // Their system R a = b for the weights of the two differences: a1 + a2 = b1, r a1 + a2 = b2. Where x0 is predicted,
  // -h stands for h.
  const double B = std::expm1(-h), phi_2 = (B / -h - 1) / -h, phi_3 = (phi_2 - 0.5) / -h;
  const double b1 = -h * phi_2 / B, b2 = 2 * -h * phi_3 / B;
  const double a1 = (b1 - b2) / (1 - r), a2 = b1 - a1;
  return (a1 - 0.5) * slope(x0s[2], x0s[1], h) + a2 * d_end;
}

/// UniPC of order 2 with B2(h) = exp(h) - 1 on x0: each answer first corrects the x it was asked with, then predicts.
/// Draws nothing. Source: Zhao et al. 2023 (arXiv:2302.04867), UniPC-2 with data prediction; the last step is of order
/// 1, as diffusers has it by default (web UIs run order 3).
Trajectory sample(Tensor x, Schedule schedule, SamplerOptions, Noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  History x0s(3);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    x0s.add(from, p.x0);

    // UniC adds to x as it is, which a watcher may have changed.
    if (i > 0 && x0s.size() > 1 && lambda_of(from) > lambda_of(levels[i - 1])) {
      x = x - from.alpha * std::expm1(-(x0s[0].lambda - x0s[1].lambda)) * correction(x0s);
    }

    // UniP; its last step is of order 1, as diffusers has it by default.
    const double h = lambda_of(to) - lambda_of(from);
    Tensor d = p.x0;
    if (x0s.size() > 1 && i + 2 < levels.size()) d = d + slope(x0s[1], x0s[0], h) / 2;
    const Tensor next = to.sigma / from.sigma * x - to.alpha * std::expm1(-h) * d;
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::unipc() {
  return {.name = "unipc",
          .label = "UniPC",
          .start = sample,
          .order = 2,
          .aliases = {"diffusers:UniPCMultistepScheduler", "a1111:UniPC"}};
}

}  // namespace steplapse
