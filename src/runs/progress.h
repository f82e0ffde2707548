#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "runs/options.h"
#include "runs/stop_when_converged.h"
#include "steplapse/error.h"
#include "steplapse/run_log.h"
#include "views/frames.h"

namespace steplapse {

/// What a run came to.
struct Summary {
  std::string status;  ///< done, stopped, interrupted
  std::filesystem::path folder;
  int64_t steps;
  int64_t denoiser_calls;
  int64_t frames;
  double network_seconds;
  double frame_seconds;   ///< decoding, encoding and writing, summed over their threads
  double hidden_seconds;  ///< the part of it that the run did not wait for
  double total_seconds;
  std::vector<std::string> left;  ///< steps and pictures that a signal did not wait for
  std::filesystem::path picture;  ///< the final one, where nothing was left
  std::string reason = {};        ///< why it ended before its last step
  std::optional<WouldStop> would_stop = {};
  int64_t shared_calls = 0;  ///< of `denoiser_calls`: those that cost nothing, since another run had asked
};

/// Where several runs would have stopped.
struct WouldStopTotals {
  int64_t runs = 0;     ///< that looked for it
  int64_t stopped = 0;  ///< that would have
  int64_t denoiser_calls_saved = 0;
  double least_psnr = std::numeric_limits<double>::infinity();  ///< the worst of them

  void add(const WouldStop& run) {
    ++runs;
    if (!run.step) return;
    ++stopped;
    denoiser_calls_saved += run.denoiser_calls_saved;
    least_psnr = std::min(least_psnr, run.psnr);
  }
};

/// What several runs made together came to.
struct BatchSummary {
  std::filesystem::path folder;
  int64_t done = 0, interrupted = 0, failed = 0, not_begun = 0;
  int64_t stopped = 0;  ///< of those that are done: the ones that ended before their last step
  WouldStopTotals would_stop;
  int64_t frames = 0;
  int64_t at_once = 0;         ///< runs in one denoiser call, at most
  int64_t denoiser_calls = 0;  ///< of all runs, however many shared one
  int64_t asked_calls = 0;     ///< answers that the network gave now; of runs that failed too
  int64_t shared_calls = 0;    ///< answers besides that cost nothing, since another run had asked
  double network_seconds = 0;
  double total_seconds = 0;
};

/// Tells the user how runs go. `run` is a run's number among those made together, from 1. `frame` comes from another
/// thread than the rest.
class Progress {
 public:
  virtual ~Progress() = default;
  /// What a dry run shows, on stdout.
  virtual void planned(int64_t run, const Plan&, const Manifest&, const std::filesystem::path&, int64_t frames);
  /// Before the first of several runs; never for one alone.
  virtual void batch_started(int64_t /*runs*/, int64_t /*steps*/, const std::filesystem::path& /*folder*/) {}
  /// Why nothing is done about a run, or about several.
  virtual void nothing_left(const std::filesystem::path& folder, const std::string& why);
  /// What would be or will be done about an unfinished run. @param logged_steps  that its log is enough for
  virtual void would_go_on(int64_t run, const Plan&, const std::filesystem::path& folder, int64_t logged_steps);
  virtual void goes_on(int64_t /*run*/, const Plan&, const std::filesystem::path& /*folder*/,
                       int64_t /*logged_steps*/) {}
  /// @param logged_steps  0 but of a run that goes on
  virtual void started(int64_t /*run*/, const Plan&, const Manifest&, const std::filesystem::path&,
                       int64_t /*logged_steps*/) {}
  virtual void step(int64_t /*run*/, const StepRow&) {}
  virtual void frame(int64_t /*run*/, const Frame&) {}
  virtual void done(int64_t /*run*/, const Summary&) {}
  virtual void run_failed(int64_t run, const std::filesystem::path& folder, const Failure&);  ///< the others go on
  virtual void batch_done(const BatchSummary&) {}
  virtual void warning(const std::string& text);  ///< one line on stderr
  virtual void failed(const Failure&) {}
};

/// `automatic` is a bar where stderr is a terminal, else lines. Bar, lines and warnings go to stderr, the closing lines
/// and JSON to stdout.
/// @param show  x0 frames are shown above the bar
/// @throws UsageError  `show` without a bar, or without a terminal
std::unique_ptr<Progress> make_progress(ProgressMode mode, bool show = false);

}  // namespace steplapse
