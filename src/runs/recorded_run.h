#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/stopwatch.h"
#include "record/run_folder.h"
#include "runs/branch_reader.h"
#include "runs/origin.h"
#include "runs/progress.h"
#include "runs/recorder.h"
#include "runs/stop_at.h"
#include "runs/stop_on_signal.h"
#include "runs/stop_when_converged.h"
#include "runs/task.h"
#include "sampling/watchers.h"
#include "steplapse/bundle.h"
#include "steplapse/run_log.h"
#include "views/frames.h"

namespace steplapse {

/// One run and its folder: from before the first denoiser call until the log is closed.
class RecordedRun {
 public:
  /// @param number  among the runs made together, from 1
  /// @param here    where the command's runs come from
  /// @param own     a further watcher, which may end the run or change its latents; null: none
  /// The bundle, the workers and the progress must outlive it.
  /// @throws OutputError  the folder can't be made ready; then nothing of a new run is left, and nothing is changed of one
  ///                      that goes on
  RecordedRun(int64_t number, Task task, const Bundle& bundle, const Origin& here, FrameWorkers& workers,
              Progress& progress, Watcher* own = nullptr);

  const Plan& plan() const { return task_.plan; }
  Watcher* watcher() { return &watchers_; }

  /// Writes what comes last: the final picture and latents, the log's end, its views.
  /// @throws what ended the trajectory, or what the disk throws; the log then says `failed` and why
  Summary finish(const Outcome& outcome);

  /// Ends the run where it is: the log is whole up to the last answer and says `interrupted`, and no final picture is made.
  Summary cut(int signal);

  /// The same on a watchdog's thread. From then on whatever else would record or end this run waits for the end of the process.
  /// @return what the run came to; none where it had failed
  /// @throws what the disk throws; the log then ends somewhere
  std::optional<Summary> abandon(int signal);

 private:
  void begin_log();
  void go_on_with_log();
  Summary write_end(const Outcome& outcome);
  Summary end_here(int signal);
  FrameRequest final_picture(const Outcome& outcome) const;
  std::string why_stopped() const;
  std::optional<WouldStop> would_stop() const;
  void log_frame_steps();
  void mark_ended(const Summary& summary, const std::string& reason);
  std::vector<std::string> left_undone() const;
  /// Calls visit(kind, step, file, is_written) for each frame that was asked for, in the order of the files.
  template <typename Visit>
  void each_frame(Visit visit) const;
  void warn_of_a_broken_picture();
  Summary summarise(const std::string& status) const;
  const std::string& decoder_of(const FrameRequest& request) const;
  void written(const Frame& frame);  ///< on the frame writer's thread
  void mark_failed(const std::string& reason) noexcept;

  const int64_t number_;
  const Task task_;
  const Bundle& bundle_;
  const Origin here_;
  Progress& progress_;
  const Stopwatch since_start_;
  std::atomic<double> frame_ms_ = 0;
  std::atomic<int64_t> frame_count_ = 0;
  mutable std::mutex pictures_mutex_;
  std::set<std::string> pictures_;  // that are written
  double would_stop_psnr_ = 0;
  std::mutex ending_;  // held by who ends the run; a watchdog that did keeps it
  bool over_ = false;
  std::optional<Summary> ended_;
  RunFolder folder_;
  std::optional<RunLog> past_;  // of a run that goes on its log, of a branch that of the run before
  std::optional<BranchReader> reader_;
  std::optional<RunLog> log_;
  std::optional<LogWriter> log_writer_;
  std::optional<FrameWriter> frames_;  // its frames use all the others, so it is the first of them to end
  std::optional<Recorder> recorder_;
  StopOnSignal signal_;
  StopAt stop_at_;
  StopWhenConverged converged_;
  Watchers watchers_;
};

}  // namespace steplapse
