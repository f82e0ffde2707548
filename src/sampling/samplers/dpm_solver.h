#pragma once

#include <cmath>

#include "base/aten.h"
#include "steplapse/noise_level.h"
#include "steplapse/tensor.h"

namespace steplapse {

// DPM-Solver, Lu et al. 2022 (arXiv:2206.00927), in the paper's letters: lambda = log(alpha / sigma); h is its rise
// from s to t; s1 and s2 are the levels where it has risen by r1 h and r2 h; eps, eps1 and eps2 are the predictions at
// s, s1, s2.

/// h = lambda(t) - lambda(s), above 0.
inline double rise(const NoiseLevel& s, const NoiseLevel& t) { return std::log(noise_ratio(s) / noise_ratio(t)); }

/// The level where lambda has risen by r h from s.
inline NoiseLevel between(const Schedule& schedule, const NoiseLevel& s, double r, double h) {
  return schedule.at(noise_ratio(s) * std::exp(-r * h));
}

/// x at t by DPM-Solver-1: eq. 3.7.
inline Tensor dpm_solver_1(const Tensor& x, const NoiseLevel& s, const NoiseLevel& t, const Tensor& eps) {
  return t.alpha / s.alpha * x - t.sigma * std::expm1(rise(s, t)) * eps;
}

/// x at t by DPM-Solver-2: algorithm 1 with any r1 in place of 1/2.
inline Tensor dpm_solver_2(const Tensor& x, const NoiseLevel& s, const NoiseLevel& t, double r1, const Tensor& eps,
                           const Tensor& eps1) {
  const double grown = std::expm1(rise(s, t));
  return t.alpha / s.alpha * x - t.sigma * grown * eps - t.sigma / (2 * r1) * grown * (eps1 - eps);
}

/// A line of DPM-Solver-3, algorithm 2: x at s2 with r = r2 / r1 and eps1, or x at t with r = 1 / r2 and eps2.
inline Tensor dpm_solver_3(const Tensor& x, const NoiseLevel& s, const NoiseLevel& t, double r, const Tensor& eps,
                           const Tensor& later) {
  const double h = rise(s, t), grown = std::expm1(h);
  return t.alpha / s.alpha * x - t.sigma * grown * eps - t.sigma * r * (grown / h - 1) * (later - eps);
}

/// The part of a schedule where lambda is finite: from the first level with alpha above 0 to the last with sigma above
/// 0. Empty (first == last) where lambda does not rise between them.
struct SolverRange {
  size_t first = 0, last = 0;
  explicit SolverRange(const std::vector<NoiseLevel>& levels) : last(levels.size() - 1) {
    while (first + 1 < levels.size() && levels[first].alpha == 0) ++first;
    while (last > first && levels[last].sigma == 0) --last;
    if (levels[last].sigma == 0 || noise_ratio(levels[first]) == noise_ratio(levels[last])) last = first;
  }
};

}  // namespace steplapse
