
#include <cmath>
#include <stdexcept>

#include "base/aten.h"
#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// SDE-DPM-Solver++(3M): follows x0 with two derivatives from its last three values. eta and draws are as in
/// `dpmpp_2m_sde`. Source: k-diffusion's sample_dpmpp_3m_sde, which extends Lu et al. 2022 (arXiv:2211.01095), section
/// 5, by one value.
Trajectory sample_dpmpp_3m_sde(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  if (!(options.eta >= 0)) throw std::invalid_argument("eta must be 0 or more");
  const auto& levels = schedule.levels;
  History x0s(3);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    x0s.add(from, p.x0);

    const SdeStep step(from, to, options);
    Tensor next = to.sigma / from.sigma * step.exp_eta_h * x + to.alpha * (1 - step.exp_eta_h * step.exp_h) * p.x0;
    const double h = lambda_of(to) - lambda_of(from);
    if (x0s.size() > 1 && to.sigma > 0 && h > 0) {
      const double h_eta = (1 + options.eta) * h;
      const double phi_2 = std::expm1(-h_eta) / h_eta + 1;
      const double phi_3 = phi_2 / h_eta - 0.5;

      // d1 is h times the derivative of x0; d2, from three values, is h² times half its second derivative.
      const double r0 = (x0s[0].lambda - x0s[1].lambda) / h;
      Tensor d1 = (x0s[0].value - x0s[1].value) / r0;
      if (x0s.size() == 3) {
        const double r1 = (x0s[1].lambda - x0s[2].lambda) / h;
        const Tensor d2 = (d1 - (x0s[1].value - x0s[2].value) / r1) / (r0 + r1);
        d1 = d1 + r0 * d2;
        // Third order would need twice this term, by Taylor's series. k-diffusion and diffusers use it as here, so the
        // sampler is of second order, and so is every picture that names it.
        next = next - to.alpha * phi_3 * d2;
      }
      next = next + to.alpha * phi_2 * d1;
    }
    if (step.sigma_up > 0) next = next + step.sigma_up * noise.like(x);
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::dpmpp_3m_sde() {
  return {.name = "dpmpp_3m_sde",
          .label = "DPM++ 3M SDE",
          .start = sample_dpmpp_3m_sde,
          .order = 2,
          .eta = 1,
          .usual_schedule = "exponential",
          .aliases = {"a1111:DPM++ 3M SDE", "a1111:k_dpmpp_3m_sde", "k-diffusion:sample_dpmpp_3m_sde",
                      "comfyui:dpmpp_3m_sde"}};
}

}  // namespace steplapse
