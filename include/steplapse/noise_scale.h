#pragma once

#include <cstdint>
#include <utility>

#include "steplapse/noise_level.h"

namespace steplapse {

/// A model's noise levels in the numbers that schedules are written in: training timesteps, 0 to count - 1, and the
/// tools' sigma. That is sigma / alpha for models with a table (k-diffusion's convention), and sigma itself for flow
/// models, where timestep t stands for u = (t + 1) / 1000, and sigma is shift * u / (1 + (shift - 1) * u) (Esser et al.
/// 2024, arXiv:2403.03206, section 5.3.2).
class NoiseScale {
 public:
  explicit NoiseScale(TrainingNoise noise) : noise_(std::move(noise)), table_{{}, 1, noise_.alphas_cumprod} {}

  const TrainingNoise& noise() const { return noise_; }
  int64_t timesteps() const { return noise_.timesteps(); }
  bool is_flow() const { return noise_.is_flow(); }

  double sigma_min() const { return sigma_at(0); }
  double sigma_max() const {
    return sigma_at(static_cast<double>(timesteps() - 1));
  }  ///< at alpha 0 kLargestNoiseRatio
  double sigma_at(double timestep) const;  ///< between timesteps log sigma is interpolated, as in k-diffusion
  double timestep_of(double sigma) const;  ///< the reverse, held inside the table; for flow it is 1000 * sigma - 1
  NoiseLevel at_sigma(double sigma) const;
  NoiseLevel at_timestep(double timestep) const;  ///< alpha and sigma of a whole one are the table's own

 private:
  TrainingNoise noise_;
  Schedule table_;
};

}  // namespace steplapse
