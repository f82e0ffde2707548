#include "steplapse/noise_scale.h"

#include <algorithm>
#include <cmath>

namespace steplapse {
namespace {

double shifted(double shift, double u) { return shift * u / (1 + (shift - 1) * u); }

}  // namespace

double NoiseScale::sigma_at(double timestep) const {
  if (is_flow()) return shifted(noise_.shift, (timestep + 1) / static_cast<double>(timesteps()));
  const auto sigma = [&](double t) {
    return std::min(noise_ratio(noise_.level(static_cast<int64_t>(t))), kLargestNoiseRatio);
  };
  const double below = std::floor(timestep), share = timestep - below;
  if (share == 0) return sigma(below);
  return std::exp((1 - share) * std::log(sigma(below)) + share * std::log(sigma(below + 1)));
}

double NoiseScale::timestep_of(double sigma) const {
  if (is_flow()) return static_cast<double>(timesteps()) * sigma - 1;
  return table_.at(sigma).timestep.value_or(0);
}

NoiseLevel NoiseScale::at_sigma(double sigma) const {
  if (!is_flow()) return table_.at(sigma);
  return {static_cast<double>(timesteps()) * sigma, 1 - sigma, sigma};
}

NoiseLevel NoiseScale::at_timestep(double timestep) const {
  if (is_flow()) return at_sigma(sigma_at(timestep));
  if (timestep == std::floor(timestep)) return noise_.level(static_cast<int64_t>(timestep));
  NoiseLevel level = at_sigma(sigma_at(timestep));
  level.timestep = timestep;
  return level;
}

}  // namespace steplapse
