#include "steplapse/noise_level.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <sstream>
#include <stdexcept>

#include "base/names.h"

namespace steplapse {
namespace {

constexpr ValueNames<PredictionType, 4> kPredictionTypes{{
    {"epsilon", PredictionType::epsilon},
    {"v_prediction", PredictionType::v_prediction},
    {"sample", PredictionType::sample},
    {"flow", PredictionType::flow},
}};

/// The timestep where sigma / alpha is k, by linear interpolation of log(sigma / alpha) between training timesteps.
double timestep_of(const std::vector<double>& alphas_cumprod, double k) {
  // k² = (1 - a) / a falls where a rises, so the search is for a = 1 / (1 + k²) in a falling list.
  const double a_of_k = 1 / (1 + k * k);
  const auto above = std::lower_bound(alphas_cumprod.begin(), alphas_cumprod.end(), a_of_k, std::greater<>());
  if (above == alphas_cumprod.begin()) return 0;
  if (above == alphas_cumprod.end()) return static_cast<double>(alphas_cumprod.size() - 1);
  const auto log_ratio = [](double a) { return std::log(std::min(std::sqrt((1 - a) / a), kLargestNoiseRatio)); };
  const double low = log_ratio(*(above - 1)), high = log_ratio(*above);
  const auto t = static_cast<double>(above - alphas_cumprod.begin());
  return std::min(t, t - 1 + (std::log(k) - low) / (high - low));
}

}  // namespace

PredictionType prediction_type_named(std::string_view name) {
  return value_named(kPredictionTypes, name, "prediction type");
}
std::string_view name_of(PredictionType type) { return name_in(kPredictionTypes, type); }

int64_t TrainingNoise::timesteps() const {
  constexpr int64_t kFlow = 1000;  // the timestep of a flow model is 1000 times sigma
  return alphas_cumprod.empty() ? kFlow : static_cast<int64_t>(alphas_cumprod.size());
}

NoiseLevel TrainingNoise::level(int64_t t) const {
  const double alpha_squared = alphas_cumprod.at(static_cast<size_t>(t));
  return {static_cast<double>(t), std::sqrt(alpha_squared), std::sqrt(1 - alpha_squared)};
}

NoiseLevel Schedule::at(double k) const {
  if (!(k > 0)) return {std::nullopt, 1, 0};
  if (alphas_cumprod.empty()) {
    const double sigma = std::isinf(k) ? 1 : k / (1 + k);
    return {1000 * sigma, 1 - sigma, sigma};
  }
  const double alpha = std::isinf(k) ? 0 : 1 / std::sqrt(1 + k * k);
  return {timestep_of(alphas_cumprod, k), alpha, std::isinf(k) ? 1 : k * alpha};
}

void check_levels(const Schedule& schedule) {
  const auto& levels = schedule.levels;
  if (levels.size() < 2) {
    throw std::invalid_argument("a schedule of " + std::to_string(levels.size()) +
                                " noise levels, expected at least 2");
  }
  for (size_t i = 0; i < levels.size(); ++i) {
    const auto& [timestep, alpha, sigma] = levels[i];
    if (!std::isfinite(alpha) || !std::isfinite(sigma) || alpha < 0 || sigma < 0 || (alpha == 0 && sigma == 0)) {
      std::ostringstream text;
      text << "noise level " << i << " has alpha " << alpha << " and sigma " << sigma
           << ", expected finite numbers of 0 or more, not both 0";
      throw std::invalid_argument(text.str());
    }
    // sigma / alpha must not rise; multiplied out, since alpha may be 0 at the first level.
    if (i > 0 && sigma * levels[i - 1].alpha > levels[i - 1].sigma * alpha) {
      std::ostringstream text;
      text << "noise levels do not fall: sigma " << sigma << " at level " << i << ", after " << levels[i - 1].sigma
           << " at level " << i - 1;
      throw std::invalid_argument(text.str());
    }
  }
}

}  // namespace steplapse
