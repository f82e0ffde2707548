#pragma once

#include <cstddef>
#include <exception>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/warnings.h"
#include "model/bundle_folder.h"
#include "runs/options.h"
#include "runs/progress.h"
#include "runs/task.h"
#include "runs/task_source.h"
#include "steplapse/bundle.h"

namespace steplapse {

/// Makes the runs: samples them together, and writes a run folder each. Of several, run k has the folder
/// OUT/000k-PROMPT-SEED, and one that fails leaves the others alone. What refused runs leave on disk: nothing.
///
/// @param made  is told the folders of the runs when all of them are done; what it throws, the progress tells too
/// @return the exit code: 0, or 130 / 143 for runs that a signal ended after some step; after the grace the process ends
/// @throws Error and what else the network or the disk throws; a run that had begun is then marked `failed`
int run_batch(const Options& options,
              const std::function<void(const std::vector<std::filesystem::path>& folders)>& made = {});

// What it is made of, for other commands that make runs.

/// 0012-red-apple-7: the folder of one of several runs. @param run  its number, from 1
std::string numbered_folder(size_t run, const Plan& plan);

/// Does a command's work, and tells the progress how it fails. @return what `work` does
int with_progress(const RunningOptions& running, const std::function<int(Progress&)>& work);

/// @throws UsageError  the model has no decoder of this name
void check_decoder(const Manifest& manifest, const std::string& decoder);

/// Loads the bundle on the threads and the device that the user asked for.
Bundle load_for_runs(BundleFolder folder, const RunningOptions& running, const std::vector<std::string>& decoders,
                     Progress& progress);

/// Samples the tasks together, new ones and those that go on. @param folder  that of several
/// @return, @throws  as run_batch
int make_runs(const Bundle& bundle, const std::vector<Task>& tasks, const RunningOptions& running,
              const std::filesystem::path& folder, Warnings& warnings, Progress& progress);

/// How the runs of a batch go together.
struct Together {
  size_t shared_bytes = 0;  ///< of answers that are kept for other runs (Engine::share_answers); 0: none are
  bool cut_at_signal =
      false;  ///< a signal ends runs after the denoiser call that it came in, without final pictures; else
              ///< after the step
};

/// What several runs came to.
struct BatchEnd {
  BatchSummary summary;
  std::exception_ptr error;  ///< that a run failed with: the first one's; null where none failed
};

/// Samples the runs together, as many at once as share a denoiser call; begins them in their order.
BatchEnd make_runs(const Bundle& bundle, TaskSource& tasks, const Together& together, const RunningOptions& running,
                   const std::filesystem::path& folder, Warnings& warnings, Progress& progress);

}  // namespace steplapse
