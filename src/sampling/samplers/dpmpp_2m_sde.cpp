
#include <cmath>
#include <stdexcept>

#include "base/aten.h"
#include "sampling/samplers/multistep.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

enum class Variant { midpoint, heun };

/// SDE-DPM-Solver++(2M): `dpmpp_2m` with a share `eta` of fresh noise, 0 or more; 0 is `dpmpp_2m`. Draws once per step
/// where eta is above 0, except to sigma 0. Source: Lu et al. 2022 (arXiv:2211.01095), section 5; eta and the names of
/// the variants are k-diffusion's, whose default is `midpoint`. (At eta 1 both variants are diffusers' sde-dpmsolver++
/// of order 2 with the solver_type of that name.)
template <Variant variant>
Trajectory sample_dpmpp_2m_sde(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  if (!(options.eta >= 0)) throw std::invalid_argument("eta must be 0 or more");
  const auto& levels = schedule.levels;
  History x0s(2);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const NoiseLevel from = levels[i], to = levels[i + 1];
    const Prediction p = co_await predict(x, from);
    x0s.add(from, p.x0);

    const SdeStep step(from, to, options);
    Tensor next = to.sigma / from.sigma * step.exp_eta_h * x + to.alpha * (1 - step.exp_eta_h * step.exp_h) * p.x0;
    const double h = lambda_of(to) - lambda_of(from);
    if (x0s.size() == 2 && to.sigma > 0 && h > 0) {
      // d is h times the derivative of x0. Its weight takes x0 at the middle of the step, or integrates its change.
      const double h_eta = (1 + options.eta) * h, r = (x0s[0].lambda - x0s[1].lambda) / h;
      const Tensor d = (x0s[0].value - x0s[1].value) / r;
      const double weight = variant == Variant::midpoint ? -std::expm1(-h_eta) / 2 : std::expm1(-h_eta) / h_eta + 1;
      next = next + to.alpha * weight * d;
    }
    if (step.sigma_up > 0) next = next + step.sigma_up * noise.like(x);
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::dpmpp_2m_sde() {
  return {.name = "dpmpp_2m_sde",
          .label = "DPM++ 2M SDE",
          .start = sample_dpmpp_2m_sde<Variant::midpoint>,
          .order = 2,
          .eta = 1,
          .usual_schedule = "exponential",
          .aliases = {"diffusers:DPMSolverMultistepScheduler(sde-dpmsolver++)", "a1111:DPM++ 2M SDE",
                      "a1111:k_dpmpp_2m_sde", "k-diffusion:sample_dpmpp_2m_sde", "comfyui:dpmpp_2m_sde"}};
}

Sampler sampler_rows::dpmpp_2m_sde_heun() {
  return {.name = "dpmpp_2m_sde_heun",
          .label = "DPM++ 2M SDE Heun",
          .start = sample_dpmpp_2m_sde<Variant::heun>,
          .order = 2,
          .eta = 1,
          .usual_schedule = "exponential",
          .aliases = {"a1111:DPM++ 2M SDE Heun", "a1111:k_dpmpp_2m_sde_heun", "comfyui:dpmpp_2m_sde_heun"}};
}

}  // namespace steplapse
