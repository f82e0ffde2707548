
#include <cmath>

#include "base/aten.h"
#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// h times the derivative of x0 by lambda, from two values.
Tensor slope(const History::Past& from, const History::Past& to, double h) {
  return (to.value - from.value) * (h / (to.lambda - from.lambda));
}

/// The difference of UniC and UniP for the step that ended at the newest x0, without their common factor -alpha B(h).
/// Of order 1 with two x0, of order 2 with three.
Tensor correction(const History& x0s) {
  const Tensor d_end = x0s[0].value - x0s[1].value;
  if (x0s.size() == 2) return d_end / 2;
  const double h = x0s[0].lambda - x0s[1].lambda, r = (x0s[2].lambda - x0s[1].lambda) / h;

  // The paper's system R a = b for the weights of the two differences: a1 + a2 = b1, r a1 + a2 = b2. With data
  // prediction, -h takes the place of h.
  const double B = std::expm1(-h), phi_2 = (B / -h - 1) / -h, phi_3 = (phi_2 - 0.5) / -h;
  const double b1 = -h * phi_2 / B, b2 = 2 * -h * phi_3 / B;
  const double a1 = (b1 - b2) / (1 - r), a2 = b1 - a1;
  return (a1 - 0.5) * slope(x0s[2], x0s[1], h) + a2 * d_end;
}

/// UniPC of order 2 with data prediction and B2(h) = exp(h) - 1: each answer first corrects the x that it was asked
/// for, then predicts the next. Asks once per step; draws nothing. The last step is of order 1, as is diffusers'
/// default. (Web UIs use order 3.) Source: Zhao et al. 2023 (arXiv:2302.04867), UniPC-2.
Trajectory sample_unipc(Tensor x, Schedule schedule, SamplerOptions, Noise) {
  check_levels(schedule);
  const auto& levels = schedule.levels;
  History x0s(3);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    x0s.add(from, p.x0);

    // UniC adds to the present x, which a watcher may have changed.
    if (i > 0 && x0s.size() > 1 && lambda_of(from) > lambda_of(levels[i - 1])) {
      x = x - from.alpha * std::expm1(-(x0s[0].lambda - x0s[1].lambda)) * correction(x0s);
    }

    // UniP; its last step is of order 1.
    const double h = lambda_of(to) - lambda_of(from);
    Tensor d = p.x0;
    if (x0s.size() > 1 && i + 2 < levels.size()) d = d + slope(x0s[1], x0s[0], h) / 2;
    const Tensor next = to.sigma / from.sigma * x - to.alpha * std::expm1(-h) * d;
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::unipc() {
  return {.name = "unipc",
          .label = "UniPC",
          .start = sample_unipc,
          .order = 2,
          .aliases = {"diffusers:UniPCMultistepScheduler", "a1111:UniPC"}};
}

}  // namespace steplapse
