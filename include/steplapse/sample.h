#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "steplapse/bundle.h"
#include "steplapse/engine.h"
#include "steplapse/sampler.h"
#include "steplapse/settings.h"

namespace steplapse {

/// What of a run is kept on disk.
struct Recording {
  std::filesystem::path folder;  ///< the run folder (docs/run-folder.md); empty: nothing is written
  bool x0_frames = true;         ///< a PNG of x0 at each step
  bool xt_frames = false;        ///< a PNG of the latents at each step, and of the start
  int64_t every = 1;             ///< 1 or more: frames of every so many steps, and of the first and the last
  bool overwrite = false;        ///< a run that is in the folder is replaced; else it is OutputError
};

/// Samples a picture, shows each step to `on_step`, and writes a run folder if asked to: the program's own, whose log has
/// what `on_step` did. It may end the run (the result is then the step's x0), or give other latents to go on with.
///
/// @return latents [1, C, h, w] for bundle.decode
/// @throws UsageError   settings that the bundle can't meet
/// @throws OutputError  a folder that can't be written; and what the network or `on_step` throws. A run that had begun is
///                      then marked `failed`
Tensor sample(const Bundle& bundle, const Settings& settings, const std::function<Verdict(const Step&)>& on_step,
              const Recording& recording = {});

/// The same for code that only says whether to go on: false ends the run.
Tensor sample(const Bundle& bundle, const Settings& settings, const std::function<bool(const Step&)>& goes_on,
              const Recording& recording = {});

}  // namespace steplapse
