#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/error.h"
#include "steplapse/settings.h"
#include "views/frames.h"

namespace steplapse {

enum class ProgressMode { automatic, bar, lines, json, none };

/// A picture that is asked for.
struct Request {
  Settings settings;
  std::string place = "";  ///< where, for messages: prompts.txt:3; "" for the command line
};

/// All that `steplapse generate` was asked, each value checked as far as it can be without the model.
struct Options {
  std::vector<Request> requests;  ///< at least one; those of several have seeds
  std::filesystem::path model;
  FrameSelection frames;
  std::string decoder = "full";      ///< for the frames; the final picture is always by `full`
  std::filesystem::path out;         ///< the run's folder, or that of several runs' folders; empty: default_run_folder
  std::filesystem::path picture;     ///< where the final picture of a single run goes besides; empty: nowhere
  std::optional<int64_t> max_batch;  ///< runs in one denoiser call; none: as many as fit into memory
  std::string device = "auto";
  int threads = 0;    ///< 0: libtorch's own choice
  double grace = 10;  ///< seconds that a run has to end its step after a signal; then it ends where it is
  bool dry_run = false;
  bool overwrite = false;
  ProgressMode progress = ProgressMode::automatic;
};

/// Makes the runs: samples them together, and writes a run folder each. Of several, run k has the folder
/// OUT/000k-PROMPT-SEED, and one that fails leaves the others alone. What refused runs leave on disk: nothing.
///
/// @return the exit code: 0, or 130 / 143 for runs that a signal ended after some step; after the grace the process ends
/// @throws Error and what else the network or the disk throws; a run that had begun is then marked `failed`
int run(const Options& options);

}  // namespace steplapse
