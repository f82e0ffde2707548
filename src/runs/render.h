#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "runs/options.h"

namespace steplapse {

/// Frames of a run that are to be made from its log.
struct RenderOptions {
  std::filesystem::path run;  ///< its folder
  FrameSelection frames;
  std::optional<std::string> decoder;  ///< none: that of the run's own frames
  std::filesystem::path out;           ///< where frames/ and final.png go; empty: the run's folder
  bool overwrite = false;              ///< frames that are there are replaced
  RunningOptions running;  ///< model: another bundle than the run's will do; threads 0: as many as the run had
  std::filesystem::path usual_model;  ///< that is looked at where none is named; may be empty
};

/// What was made.
struct Rendered {
  std::filesystem::path folder;
  int64_t steps = 0;   ///< that the log has
  int64_t frames = 0;  ///< beside final.png
  bool final = false;  ///< whether final.png was missing, and was made
  std::string decoder = {}, model = {};
  double total_seconds = 0;
};

/// Makes frames from a run's log: the bytes that the run itself makes of them, on the same machine and build. Only decoders
/// are loaded. A run that has no end is shown as far as its log goes.
/// @param warn  is told what the user should know beside, a line each
/// @throws UsageError   a step or an answer that the log does not have, or no bundle of the run is found
/// @throws OutputError  a file exists, or cannot be written; what is written by then is whole
Rendered render(const RenderOptions& options, const std::function<void(const std::string&)>& warn);

}  // namespace steplapse
