#include "sampling/samplers/ancestral.h"
#include "sampling/samplers/dpm_solver.h"
#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

constexpr double kAbsolute = 0.0078, kRelative = 0.05;  // tolerances of x / alpha (atol and rtol)
constexpr double kFirstRise = 0.05;                     // of lambda, in the first step tried
constexpr double kLeastFactor = 0.81;  // a step whose factor is below this is tried again with a shorter h

/// The difference of two solutions in units of the tolerance: the root mean square.
double error_of(const Tensor& low, const Tensor& high, const Tensor& before) {
  const Tensor allowed = at::maximum(low.abs(), before.abs()).mul(kRelative).clamp_min(kAbsolute);
  return ((low - high) / allowed).square().mean().sqrt().item<double>();
}

/// The factor for the next h, since the error falls with h^order. Bounded as in k-diffusion.
double factor_for(double error, double order) { return 1 + std::atan(std::pow(1 / (error + 1e-8), 1 / order) - 1); }

/// DPM-Solver-23: chooses the length of each step in log(sigma / alpha) so that solutions of order 2 and 3 agree within
/// the tolerances. It uses only the range of the schedule, as `dpm_fast` does; the number of steps is known at the end.
/// Three calls per step, and two more for each step tried again. eta and draws are as in `dpm_fast`. Source: Lu et al.
/// 2022 (arXiv:2206.00927), appendix C, with the tolerances and the controller of k-diffusion's sample_dpm_adaptive.
Trajectory sample_dpm_adaptive(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const auto& levels = schedule.levels;
  const SolverRange range(levels);
  size_t number = 0;
  for (size_t i = 0; i < range.first; ++i) {
    const Prediction p = co_await predict(x, levels[i]);
    const Tensor next = straight_to(levels[i + 1], p);
    ++number;
    x = co_await step_done(number, levels[i + 1], next, p.x0);
  }

  const NoiseLevel end = levels[range.last];
  NoiseLevel from = levels[range.first];
  Tensor before = x / from.alpha;
  double h = kFirstRise;
  while (range.first < range.last && rise(from, end) > 1e-5) {
    const Prediction p = co_await predict(x, from);
    for (bool accepted = false; !accepted;) {
      const NoiseLevel to = h < rise(from, end) ? between(schedule, from, 1, h) : end;
      const AncestralStep step = posterior_step(schedule, from, to, options, noise_ratio(end));
      const NoiseLevel down = step.down;

      const double r1 = 1.0 / 3, r2 = 2.0 / 3, rises = rise(from, down);
      const NoiseLevel s1 = between(schedule, from, r1, rises), s2 = between(schedule, from, r2, rises);
      const Prediction p1 = co_await predict(dpm_solver_1(x, from, s1, p.eps), s1);
      const Prediction p2 = co_await predict(dpm_solver_3(x, from, s2, r2 / r1, p.eps, p1.eps), s2);
      const Tensor low = dpm_solver_2(x, from, down, r1, p.eps, p1.eps) / down.alpha;
      const Tensor high = dpm_solver_3(x, from, down, 1 / r2, p.eps, p2.eps);

      const double factor = factor_for(error_of(low, high / down.alpha, before), options.eta > 0 ? 1.5 : 3);
      h *= factor;
      accepted = factor >= kLeastFactor;
      if (accepted) {
        const Tensor next = step.up(high, noise);
        ++number;
        x = co_await step_done(number, to, next, p.x0);
        before = low;
        from = to;
      }
    }
  }

  for (size_t i = range.last; i + 1 < levels.size(); ++i) {
    const Prediction p = co_await predict(x, levels[i]);
    const Tensor next = straight_to(levels[i + 1], p);
    ++number;
    x = co_await step_done(number, levels[i + 1], next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::dpm_adaptive() {
  return {
      .name = "dpm_adaptive",
      .label = "DPM adaptive",
      .start = sample_dpm_adaptive,
      .order = 3,
      .calls_per_step = 3,
      .eta = 0,
      .picks_levels = true,
      .adaptive = true,
      .aliases = {"k-diffusion:sample_dpm_adaptive", "a1111:DPM adaptive", "a1111:k_dpm_ad", "comfyui:dpm_adaptive"}};
}

}  // namespace steplapse
