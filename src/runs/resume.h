#pragma once

#include <filesystem>
#include <optional>

#include "runs/options.h"
#include "runs/task.h"

namespace steplapse {

/// Which runs to go on with, and how.
struct ResumeOptions {
  std::filesystem::path path;         ///< a run folder, its log, or a folder of run folders
  std::filesystem::path usual_model;  ///< where the run's model is looked for besides; empty: nowhere
  bool dry_run = false;
  /// Of `running` the logs say what is left open: `model` where it is empty, `device` likewise, `threads` at 0, and
  /// `max_batch` where it is none.
  RunningOptions running;
};

/// Goes on with all unfinished runs, each from where its log ends. A run that was made by itself, or with `max_batch` 1,
/// ends in the bytes of the unbroken run on the same machine and build.
///
/// All that can be refused is before anything is written: a damaged log, one of another run, a model that is not the run's.
/// @return, @throws  as run_batch
int resume(const ResumeOptions& options);

/// What the log of an unfinished run has, fed to its sampler: what does not fit is found before anything is written.
/// @throws OutputError  the log can't be read, or is damaged
LoggedPart logged_part(const std::filesystem::path& run_folder);

}  // namespace steplapse
