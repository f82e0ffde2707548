#pragma once

#include <cmath>

#include "base/aten.h"
#include "steplapse/engine.h"

namespace steplapse {

/// n steps down a variance-preserving circle: alpha = cos(angle), sigma = sin(angle), angle falling evenly.
inline Schedule circle(int64_t steps, double from, double to) {
  Schedule schedule;
  for (int64_t i = 0; i <= steps; ++i) {
    const double angle = from + (to - from) * static_cast<double>(i) / static_cast<double>(steps);
    // The network is told the angle, from which a toy one can tell alpha and sigma.
    schedule.levels.push_back({angle, std::cos(angle), std::sin(angle)});
  }
  return schedule;
}

/// The exact denoiser of data from N(0, s²), as an epsilon model over `circle`: with x = alpha x0 + sigma eps, the mean
/// of eps given x is sigma x / (alpha² s² + sigma²).
inline Denoiser gaussian_denoiser(double s) {
  return [s](const Tensor& x, const Tensor& angles, const std::vector<Tensor>&) {
    const Tensor sigma = angles.to(at::kDouble).sin().view({-1, 1, 1, 1});
    const Tensor alpha = angles.to(at::kDouble).cos().view({-1, 1, 1, 1});
    return (sigma * x / (alpha * alpha * s * s + sigma * sigma)).to(at::kFloat);
  };
}

/// Runs one trajectory alone, without guidance.
inline Outcome run_alone(Trajectory trajectory, Denoiser denoiser, Watcher* watcher = nullptr,
                         PredictionType type = PredictionType::epsilon) {
  Engine engine(std::move(denoiser), type);
  engine.add(std::move(trajectory), {}, watcher);
  return engine.run().front();
}

}  // namespace steplapse
