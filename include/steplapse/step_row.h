#pragma once

#include <cstdint>
#include <optional>

#include "steplapse/noise_level.h"

namespace steplapse {

/// How far the picture moved at a step, against the last x0 frame before it. Pixels are 0..255.
struct FrameChange {
  double mean_abs;        ///< mean absolute difference of pixels
  double psnr;            ///< 10 log10(255² / MSE) in dB; infinite for equal pictures
  int64_t compared_step;  ///< the step of the frame compared with
};

/// Milliseconds spent on the frames of one step.
struct FrameTimes {
  double decode = 0, encode = 0, write = 0;
};

/// A row of steps.csv: docs/run-folder.md has each column's meaning and unit.
struct StepRow {
  int64_t step = 0;
  NoiseLevel level;  ///< the level asked at
  double latents_rms_change = 0;
  std::optional<double> x0_rms_change;  ///< none at step 1
  std::optional<double> x0_rms_to_final;
  std::optional<FrameChange> change;
  std::optional<double> guidance_norm;
  int64_t denoiser_calls = 0;
  double denoiser_ms = 0;
  std::optional<FrameTimes> frame_ms;
};

}  // namespace steplapse
