#pragma once

#include <algorithm>
#include <vector>

#include "steplapse/schedule.h"

namespace steplapse {

/// n numbers from first to last at even distances, in the order of numpy.linspace's own arithmetic, so that halves round as
/// they do there; `first` alone where n is 1.
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

/// Where the beta distribution of two equal shapes has this share of its mass below.
double beta_quantile(double shape, double share);

/// The beta schedules' shape (Lee et al. 2024, arXiv:2407.12173), as all tools have it.
inline constexpr double kBetaShape = 0.6;

}  // namespace steplapse
