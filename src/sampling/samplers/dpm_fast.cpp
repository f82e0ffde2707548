#include "sampling/samplers/ancestral.h"
#include "sampling/samplers/dpm_solver.h"
#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

/// A step with the order of its solver.
struct SolverStep {
  NoiseLevel from, to;
  int order;
};

/// The orders of the steps that make n calls in all (section 3.4).
std::vector<int> orders_for(int64_t n) {
  if (n == 0) return {};
  std::vector<int> orders(static_cast<size_t>(n / 3), 3);
  if (n % 3 > 0) {
    orders.push_back(static_cast<int>(n % 3));
  } else {
    orders.back() = 2;
    orders.push_back(1);
  }
  return orders;
}

std::vector<SolverStep> dpm_fast_steps(const Schedule& schedule) {
  const auto& levels = schedule.levels;
  const SolverRange range(levels);
  std::vector<SolverStep> steps;
  for (size_t i = 0; i < range.first; ++i) steps.push_back({levels[i], levels[i + 1], 1});

  const std::vector<int> orders = orders_for(static_cast<int64_t>(range.last - range.first));
  NoiseLevel from = levels[range.first];
  for (size_t i = 0; i < orders.size(); ++i) {
    const double share = static_cast<double>(i + 1) / static_cast<double>(orders.size());
    NoiseLevel to = levels[range.last];
    if (i + 1 < orders.size()) to = between(schedule, levels[range.first], share, rise(levels[range.first], to));
    steps.push_back({from, to, orders[i]});
    from = to;
  }

  for (size_t i = range.last; i + 1 < levels.size(); ++i) steps.push_back({levels[i], levels[i + 1], 1});
  return steps;
}

/// DPM-Solver-fast: steps of DPM-Solver-3, evenly spaced in log(sigma / alpha). The last steps are of lower order, so
/// that a schedule of n steps takes n calls; the steps made are about a third of n. This holds between the first level
/// with alpha above 0 and the last with sigma above 0; steps beyond are of first order with one call each. Draws once
/// per step where eta is above 0, except at the end of the range. Source: Lu et al. 2022 (arXiv:2206.00927), section
/// 3.4 and algorithm 2; eta is k-diffusion's (default 0; A1111 uses 1). (A1111 and ComfyUI spend all n calls above
/// sigma 0 and show x there, with some noise left in it.)
Trajectory sample_dpm_fast(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  check_eta(options);
  const double lowest = noise_ratio(schedule.levels[SolverRange(schedule.levels).last]);
  const std::vector<SolverStep> steps = dpm_fast_steps(schedule);
  for (size_t i = 0; i < steps.size(); ++i) {
    const NoiseLevel from = steps[i].from, to = steps[i].to;
    const Prediction p = co_await predict(x, from);
    const AncestralStep step = posterior_step(schedule, from, to, options, lowest);
    Tensor below = straight_to(step.down, p);
    if (steps[i].order == 2) {
      const double r1 = 1.0 / 2;
      const NoiseLevel s1 = between(schedule, from, r1, rise(from, step.down));
      const Prediction p1 = co_await predict(dpm_solver_1(x, from, s1, p.eps), s1);
      below = dpm_solver_2(x, from, step.down, r1, p.eps, p1.eps);
    } else if (steps[i].order == 3) {
      const double r1 = 1.0 / 3, r2 = 2.0 / 3, h = rise(from, step.down);
      const NoiseLevel s1 = between(schedule, from, r1, h), s2 = between(schedule, from, r2, h);
      const Prediction p1 = co_await predict(dpm_solver_1(x, from, s1, p.eps), s1);
      const Prediction p2 = co_await predict(dpm_solver_3(x, from, s2, r2 / r1, p.eps, p1.eps), s2);
      below = dpm_solver_3(x, from, step.down, 1 / r2, p.eps, p2.eps);
    }
    const Tensor next = step.up(below, noise);
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::dpm_fast() {
  return {.name = "dpm_fast",
          .label = "DPM fast",
          .start = sample_dpm_fast,
          .order = 2,
          .eta = 0,
          .picks_levels = true,
          .aliases = {"k-diffusion:sample_dpm_fast", "a1111:DPM fast", "a1111:k_dpm_fast", "comfyui:dpm_fast"}};
}

}  // namespace steplapse
