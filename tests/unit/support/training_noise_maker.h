#pragma once

#include <cmath>

#include "steplapse/noise_level.h"

namespace steplapse {

/// Stable Diffusion's training noise: `scaled_linear`, betas even in their square root from 0.00085 to 0.012.
inline TrainingNoise stable_diffusion() {
  TrainingNoise noise;
  double product = 1;
  for (int t = 0; t < 1000; ++t) {
    const double root = std::sqrt(0.00085) + (std::sqrt(0.012) - std::sqrt(0.00085)) * t / 999;
    product *= 1 - root * root;
    noise.alphas_cumprod.push_back(product);
  }
  noise.steps_offset = 1;
  noise.final_alpha_cumprod = noise.alphas_cumprod[0];
  return noise;
}

/// The same, ending in noise alone: Lin et al. 2023 (arXiv:2305.08891), algorithm 1.
inline TrainingNoise zero_terminal_snr() {
  TrainingNoise noise = stable_diffusion();
  const double first = std::sqrt(noise.alphas_cumprod.front()), last = std::sqrt(noise.alphas_cumprod.back());
  for (double& alpha : noise.alphas_cumprod) alpha = std::pow((std::sqrt(alpha) - last) * first / (first - last), 2);
  noise.prediction_type = PredictionType::v_prediction;
  return noise;
}

inline TrainingNoise flow(double shift) {
  TrainingNoise noise;
  noise.prediction_type = PredictionType::flow;
  noise.shift = shift;
  return noise;
}

}  // namespace steplapse
