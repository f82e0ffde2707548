#pragma once

#include <algorithm>
#include <vector>

#include "steplapse/schedule.h"

namespace steplapse {

/// n evenly spaced numbers from first to last; only `first` where n is 1. The order of the arithmetic is
/// numpy.linspace's, so that halves round as in numpy.
inline std::vector<double> even(double first, double last, int64_t n) {
  std::vector<double> numbers;
  for (int64_t i = 0; i < n; ++i) {
    const double between = (last - first) / static_cast<double>(std::max<int64_t>(1, n - 1));
    numbers.push_back(i + 1 == n && n > 1 ? last : first + static_cast<double>(i) * between);
  }
  return numbers;
}

inline std::vector<NoiseLevel> at_sigmas(const NoiseScale& scale, const std::vector<double>& sigmas) {
  std::vector<NoiseLevel> levels;
  for (const double sigma : sigmas) levels.push_back(scale.at_sigma(sigma));
  return levels;
}

inline std::vector<NoiseLevel> at_timesteps(const NoiseScale& scale, const std::vector<double>& timesteps) {
  std::vector<NoiseLevel> levels;
  for (const double timestep : timesteps) levels.push_back(scale.at_timestep(timestep));
  return levels;
}

/// The quantile of the beta distribution with two equal shapes.
/// @param share  the share of the mass below it, 0 to 1
double beta_quantile(double shape, double share);

/// The shape of the beta schedules (Lee et al. 2024, arXiv:2407.12173) in all tools.
inline constexpr double kBetaShape = 0.6;

}  // namespace steplapse
