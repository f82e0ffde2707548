#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "steplapse/step_row.h"
#include "views/frames.h"

namespace steplapse {

/// What the log of an unfinished run has.
struct LoggedPart {
  int64_t calls = 0;                 ///< answers of the network
  int64_t refed_steps = 0;           ///< steps that these answers are enough for
  std::vector<StepRow> steps;        ///< the rows that were written of them
  bool has_changed_latents = false;  ///< by the run's own code
};

/// A run to make, or to go on with.
struct Task {
  std::string source = {};  ///< where it comes from, for messages: prompts.txt:3; "" for the command line
  Plan plan;                ///< of a run that waits perhaps without its start
  std::filesystem::path folder;
  std::filesystem::path picture = {};  ///< where the final picture goes besides; empty: nowhere
  FrameSelection frames = {};
  std::string decoder = "full";         ///< for the frames; the final picture is always by `full`
  std::optional<int64_t> stop_at = {};  ///< the step that it ends after; none: the last one
  std::optional<double> stop_when_converged = {}, would_stop = {};  ///< as in Options
  bool overwrite = false;
  std::optional<LoggedPart> logged = {};  ///< none: a new run
  std::filesystem::path branch_of = {};   ///< of a new branch: the folder of the run that has its first steps
};

}  // namespace steplapse
