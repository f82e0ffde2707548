#pragma once

#include <cstdint>
#include <utility>

#include "steplapse/noise_level.h"

namespace steplapse {

/// A model's noise levels in the two units of schedules: training timesteps, from 0 to timesteps() - 1, and sigma as
/// other tools write it. For models with a table of alphas_cumprod this sigma is sigma / alpha (k-diffusion's
/// convention). For flow models it is sigma itself: timestep t stands for u = (t + 1) / 1000, and sigma = shift * u /
/// (1 + (shift - 1) * u).
///
/// Source: k-diffusion's DiscreteSchedule; Esser et al. 2024 (arXiv:2403.03206), section 5.3.2, for the shift.
class NoiseScale {
 public:
  explicit NoiseScale(TrainingNoise noise) : noise_(std::move(noise)), table_{{}, 1, noise_.alphas_cumprod} {}

  const TrainingNoise& noise() const { return noise_; }
  int64_t timesteps() const { return noise_.timesteps(); }
  bool is_flow() const { return noise_.is_flow(); }

  double sigma_min() const { return sigma_at(0); }
  /// The largest sigma; kLargestNoiseRatio where the table ends at alpha 0.
  double sigma_max() const { return sigma_at(static_cast<double>(timesteps() - 1)); }

  /// @param timestep  inside the table; between whole timesteps log sigma is interpolated, as in k-diffusion
  double sigma_at(double timestep) const;
  /// The inverse of sigma_at, clamped to the table. For flow models 1000 * sigma - 1, without the shift.
  double timestep_of(double sigma) const;

  NoiseLevel at_sigma(double sigma) const;
  NoiseLevel at_timestep(double timestep) const;  ///< for a whole timestep, alpha and sigma are the table's to the bit

 private:
  TrainingNoise noise_;
  Schedule table_;
};

}  // namespace steplapse
