#include <ATen/ATen.h>

#include <cmath>
#include <stdexcept>

#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

enum class Variant { midpoint, heun };

Trajectory sample(Tensor x, Schedule schedule, SamplerOptions options, Noise noise, Variant variant) {
  check_levels(schedule);
  if (!(options.eta >= 0)) throw std::invalid_argument("eta must be 0 or more");
  const auto& levels = schedule.levels;
  History x0s(2);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    x0s.add(from, p.x0);

    const SdeStep step(from, to, options);
    Tensor next = to.sigma / from.sigma * step.kept * x + to.alpha * (1 - step.kept * step.decay) * p.x0;
    const double h = lambda_of(to) - lambda_of(from);
    if (x0s.size() == 2 && to.sigma > 0 && h > 0) {
      // h times the derivative of x0, weighted for x0 in the middle of the step, or as it moves along.
      const double h_eta = (1 + options.eta) * h, r = (x0s[0].lambda - x0s[1].lambda) / h;
      const Tensor d = (x0s[0].value - x0s[1].value) / r;
      const double weight = variant == Variant::midpoint ? -std::expm1(-h_eta) / 2 : std::expm1(-h_eta) / h_eta + 1;
      next = next + to.alpha * weight * d;
    }
    if (step.fresh > 0) next = next + step.fresh * noise.like(x);
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Trajectory sample_dpmpp_2m_sde(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  return sample(std::move(x), std::move(schedule), options, std::move(noise), Variant::midpoint);
}

Trajectory sample_dpmpp_2m_sde_heun(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  return sample(std::move(x), std::move(schedule), options, std::move(noise), Variant::heun);
}

}  // namespace steplapse
