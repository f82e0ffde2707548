#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/settings.h"
#include "views/frames.h"

namespace steplapse {

enum class ProgressMode { automatic, bar, lines, json, none };

/// How runs are made, whatever they are.
struct RunningOptions {
  std::filesystem::path model;       ///< the bundle's folder
  std::string device = "auto";       ///< auto, cpu, cuda, cuda:N
  int threads = 0;                   ///< CPU threads; 0: libtorch's own choice
  std::optional<int64_t> max_batch;  ///< runs in one denoiser call, 1 or more; none: as many as fit into memory
  double grace = 10;  ///< seconds that a run has to end its step after a signal; then it ends where it is
  ProgressMode progress = ProgressMode::automatic;
  bool show = false;  ///< x0 frames are shown in the terminal as they are made
};

/// A picture that is asked for.
struct Request {
  Settings settings;
  std::string source = "";  ///< where it comes from, for messages: prompts.txt:3; "" for the command line
};

/// Pictures that are asked for, each value checked as far as it can be without the model.
struct Options {
  std::vector<Request> requests;  ///< at least one; those of several have seeds
  FrameSelection frames;
  std::string decoder = "full";    ///< for the frames; the final picture is always by `full`
  std::filesystem::path out;       ///< the run's folder, or that of several runs' folders; empty: a DefaultFolder
  std::filesystem::path picture;   ///< where the final picture of a single run goes besides; empty: nowhere
  std::optional<int64_t> stop_at;  ///< the step that each run ends after; none: the last one
  std::optional<double> stop_when_converged;  ///< runs/stop_when_converged.h: the threshold; none: to the last step
  std::optional<double> would_stop;           ///< the same, but only said at the end; at most one of the two
  bool dry_run = false;
  bool overwrite = false;
  RunningOptions running;
};

}  // namespace steplapse
