#pragma once

#include <cstdint>
#include <optional>

#include "steplapse/noise_level.h"

namespace steplapse {

/// The change of the picture at a step, compared with the last x0 frame before it. Pixels are 0 to 255.
struct FrameChange {
  double mean_abs;        ///< mean absolute difference of pixels
  double psnr;            ///< 10 log10(255² / MSE) in dB; infinite for equal pictures
  int64_t compared_step;  ///< the step of the earlier frame
};

/// The time spent on the frames of one step, in milliseconds.
struct FrameTimes {
  double decode = 0, encode = 0, write = 0;
};

/// A row of steps.csv. docs/run-folder.md has each column's meaning and unit.
struct StepRow {
  int64_t step = 0;
  NoiseLevel level;                     ///< where the step's first question was asked
  double latents_rms_change = 0;        ///< root mean square of x after the step minus x before it
  std::optional<double> x0_rms_change;  ///< root mean square of x0 minus the last step's x0; none at step 1
  std::optional<double>
      x0_rms_to_final;                ///< root mean square of x0 minus the final latents; none until the run has ended
  std::optional<FrameChange> change;  ///< none where the step has no x0 frame, or no earlier one to compare with
  std::optional<double> guidance_norm;  ///< L2 norm of cond minus uncond at the first question; none without guidance
  int64_t denoiser_calls = 0;           ///< of the run so far
  double denoiser_ms = 0;               ///< of this step's calls, each divided by the trajectories that shared it
  std::optional<FrameTimes> frame_ms;   ///< none where the step has no frame
};

}  // namespace steplapse
