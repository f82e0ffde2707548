#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "record/facts.h"
#include "record/run_state.h"
#include "runs/options.h"
#include "views/explanation.h"
#include "views/picture.h"

namespace steplapse {

/// What to explain, and what may be asked of a bundle for it.
struct ExplainOptions {
  std::filesystem::path run;           ///< its folder
  std::optional<std::string> decoder;  ///< by which settling is measured on pictures; none: on the latents
  bool ask = false;                    ///< whether the network is asked to go on without the second answer
  RunningOptions running;              ///< as RenderOptions::running
  std::filesystem::path usual_model;   ///< that is looked at where none is named; may be empty
};

/// How the run ends where the network was not asked for the second answer from a step on.
struct WithoutSecond {
  int64_t from = 0;
  double distance = 0;  ///< rms of its final latents minus the run's
  FrameChange picture;  ///< between the final pictures; its step is not used
};

struct ExplainedRun {
  Facts facts;
  RunState state;
  Explanation numbers = {};
  Settlings settlings = {};
  std::string measured_on = {};           ///< for people: "the latents", "pictures by the decoder 'linear'"
  std::vector<WithoutSecond> asked = {};  ///< for each of numbers.leaving_out, where the network was asked
};

/// @param warn  is told what the user should know beside, a line each
/// @throws UsageError  the log has no step, or no bundle is found where one is needed; and what the network throws
ExplainedRun explain_run(const ExplainOptions& options, const std::function<void(const std::string&)>& warn);

}  // namespace steplapse
