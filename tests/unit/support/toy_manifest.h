#pragma once

#include <cmath>

#include "steplapse/manifest.h"

namespace steplapse {

/// A model of 16 x 16 and 24 x 16 pictures, latents of a quarter of their sides, 1000 training timesteps.
inline Manifest toy_manifest() {
  Manifest manifest;
  manifest.name = "toy";
  manifest.latent_channels = 4;
  manifest.downscale = 4;
  manifest.default_size = {16, 16};
  manifest.allowed_sizes = std::vector<Manifest::Size>{{16, 16}, {24, 16}};
  manifest.max_chunks = 1;
  manifest.clip_skip = 1;
  manifest.no_negative_prompt = NoNegativePrompt::encode_empty;
  for (int t = 0; t < 1000; ++t) manifest.training_noise.alphas_cumprod.push_back(std::exp(-0.005 * (t + 1)));
  manifest.training_noise.prediction_type = PredictionType::v_prediction;
  manifest.training_noise.timestep_spacing = "trailing";
  manifest.training_noise.steps_offset = 1;
  manifest.training_noise.final_alpha_cumprod = 1;
  manifest.training_noise.clip_sample_range = 2;
  manifest.defaults = {30, "ddim", 5};
  return manifest;
}

}  // namespace steplapse
