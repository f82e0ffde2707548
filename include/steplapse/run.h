#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "steplapse/error.h"
#include "steplapse/frames.h"
#include "steplapse/plan.h"

namespace steplapse {

enum class ProgressMode { automatic, bar, lines, json, none };

/// All that `steplapse generate` was asked, each value checked as far as it can be without the model.
struct Options {
  Settings settings;
  std::filesystem::path model;
  FrameSelection frames;
  std::string decoder = "full";  ///< for the frames; the final picture is always by `full`
  std::filesystem::path out;     ///< the run folder; empty: default_run_folder
  std::string device = "auto";
  int threads = 0;               ///< 0: libtorch's own choice
  bool dry_run = false;
  bool overwrite = false;
  ProgressMode progress = ProgressMode::automatic;
};

/// Makes a run: samples, and writes the run folder. What a refused run leaves on disk: nothing.
///
/// @return the exit code: 0, or 130 / 143 for a run that a signal ended after some step
/// @throws Error and what else the network or the disk throws; a run that had begun is then marked `failed`
int run(const Options& options);

}  // namespace steplapse
