#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace steplapse {

/// A point on the way from noise to image: x = alpha * x0 + sigma * eps. alpha and sigma are 0 or more, not both 0.
struct NoiseLevel {
  std::optional<double> timestep;  ///< the network's input; none where the network is never asked (sigma 0)
  double alpha = 1;
  double sigma = 0;

  bool operator==(const NoiseLevel&) const = default;
};

/// sigma / alpha, which k-diffusion calls sigma. It falls from step to step, and is infinite at alpha 0.
inline double noise_ratio(const NoiseLevel& level) { return level.sigma / level.alpha; }

/// Stands for an infinite noise ratio where a finite one is needed. diffusers uses alpha squared = 2^-24, the same
/// number.
inline constexpr double kLargestNoiseRatio = 4096;

/// What the network predicts.
enum class PredictionType {
  epsilon,       ///< eps (Ho et al. 2020, arXiv:2006.11239)
  v_prediction,  ///< alpha * eps - sigma * x0 (Salimans & Ho 2022, arXiv:2202.00512)
  sample,        ///< x0
  flow,          ///< eps - x0, with alpha = 1 - sigma (Lipman et al. 2023, arXiv:2210.02747)
};

/// @throws std::invalid_argument  another name; the text lists the choices
PredictionType prediction_type_named(std::string_view name);
std::string_view name_of(PredictionType type);

/// The noise that a model was trained on, as its bundle says.
struct TrainingNoise {
  std::vector<double> alphas_cumprod;  ///< alpha squared at each training timestep, 0 to 1, falling; empty for flow
  PredictionType prediction_type = PredictionType::epsilon;
  std::string timestep_spacing = "leading";  ///< the schedule of the bundle: leading, linspace or trailing
  int64_t steps_offset = 0;                  ///< added to the timesteps of `leading`
  double final_alpha_cumprod = 1;            ///< alpha squared of the model's last level (RunEnd::final_alpha)
  std::optional<double> clip_sample_range;   ///< ddim and ddpm clip x0 to plus and minus this; none: they do not clip
  double shift = 1;                          ///< of flow models; above 1 more levels have much noise (see NoiseScale)

  /// Whether alpha = 1 - sigma. Such a model has no table. (The manifest's checks ensure that both hold together.)
  bool is_flow() const { return prediction_type == PredictionType::flow; }
  int64_t timesteps() const;          ///< the number of training timesteps; 1000 for flow
  NoiseLevel level(int64_t t) const;  ///< of training timestep t. @throws std::out_of_range  t is outside the table
};

/// The levels that a run visits.
struct Schedule {
  std::vector<NoiseLevel> levels;           ///< n + 1 for n steps, the noisiest first; the run ends at the last
  double init_scale = 1;                    ///< sampling starts from unit noise times this
  std::vector<double> alphas_cumprod = {};  ///< of the training noise, for at(); empty for flow

  /// The level where sigma / alpha is k, for samplers that ask between the listed levels. The timestep is interpolated
  /// in log(sigma / alpha) between training timesteps, as in k-diffusion, and clamped to the table.
  NoiseLevel at(double k) const;

  int64_t steps() const { return static_cast<int64_t>(levels.size()) - 1; }
  bool is_flow() const { return alphas_cumprod.empty(); }
};

/// Checks the levels of a schedule.
/// @throws std::invalid_argument  fewer than two levels, an alpha or sigma that is negative or not finite, both 0, or
///                                sigma / alpha that rises; the text names the level
void check_levels(const Schedule& schedule);

}  // namespace steplapse
