#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace steplapse {

/// One point on the way from noise to image: x = alpha * x0 + sigma * eps.
struct NoiseLevel {
  std::optional<double> timestep;  ///< what the network is told; none where it is never asked (sigma 0)
  double alpha = 1;
  double sigma = 0;

  bool operator==(const NoiseLevel&) const = default;
};

/// sigma / alpha, k-diffusion's sigma: falls from step to step; infinite at alpha 0.
inline double noise_ratio(const NoiseLevel& level) { return level.sigma / level.alpha; }

/// Stands for an infinite one where numbers are wanted: diffusers puts alpha squared 2^-24 there.
inline constexpr double kLargestNoiseRatio = 4096;

/// What the denoiser answers: eps, v = alpha * eps - sigma * x0 (Salimans & Ho 2022, arXiv:2202.00512), x0, or eps - x0
/// where alpha = 1 - sigma (Lipman et al. 2023, arXiv:2210.02747).
enum class PredictionType { epsilon, v_prediction, sample, flow };

PredictionType prediction_type_named(std::string_view name);  ///< @throws std::invalid_argument naming the choices
std::string_view name_of(PredictionType type);

/// The noise a model was trained on, from its bundle.
struct TrainingNoise {
  std::vector<double> alphas_cumprod;  ///< alpha squared at each training timestep, falling; none for flow
  PredictionType prediction_type = PredictionType::epsilon;
  std::string timestep_spacing = "leading";  ///< the schedule where none is named
  int64_t steps_offset = 0;
  double final_alpha_cumprod = 1;           ///< alpha squared of the last level
  std::optional<double> clip_sample_range;  ///< x0 is clipped to plus and minus this (ddim, ddpm)
  double shift = 1;                         ///< of a flow model's levels towards noise: see NoiseScale

  /// Whether alpha = 1 - sigma, without a table. (The manifest's checks see to it that both go together.)
  bool is_flow() const { return prediction_type == PredictionType::flow; }
  int64_t timesteps() const;          ///< how many it was trained on; 1000 for flow
  NoiseLevel level(int64_t t) const;  ///< of a training timestep, which must be inside the table
};

/// The levels a run visits.
struct Schedule {
  /// n + 1 for n steps, noisiest first; the last has sigma 0 or is the model's own last.
  std::vector<NoiseLevel> levels;
  double init_scale = 1;                    ///< the start is unit noise times this
  std::vector<double> alphas_cumprod = {};  ///< of the training noise, for at(); none for flow, where alpha = 1 - sigma

  /// The level where sigma / alpha is k, for samplers that ask between the listed ones: its timestep is interpolated
  /// in log(sigma / alpha) between training timesteps, as k-diffusion does, and stays inside the table.
  NoiseLevel at(double k) const;

  int64_t steps() const { return static_cast<int64_t>(levels.size()) - 1; }
  bool is_flow() const { return alphas_cumprod.empty(); }
};

/// @throws std::invalid_argument  fewer than two levels, a level that is not finite, or sigma / alpha that rises;
///                                the text names the level.
void check_levels(const Schedule& schedule);

}  // namespace steplapse
