#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/work_queue.h"
#include "record/step_meter.h"
#include "runs/progress.h"
#include "runs/task.h"
#include "steplapse/engine.h"
#include "steplapse/run_log.h"
#include "views/frames.h"
#include "views/step_frames.h"

namespace steplapse {

/// The log, written by a thread of its own: any prefix of it is valid, so it may lag behind the sampler.
class LogWriter {
 public:
  explicit LogWriter(RunLog& log) : log_(log) {}
  template <typename Write>
  void push(Write write) {
    queue_.push([this, write = std::move(write)] {
      if (closed_) return;
      write(log_);
      log_.commit_when_due();
    });
  }

  /// What was pushed is written, what is pushed from now on is dropped, and the log is the caller's.
  void close() {
    queue_.push([this] {
      log_.commit();
      closed_ = true;
    });
    queue_.drain();
  }

 private:
  RunLog& log_;
  bool closed_ = false;  // of the queue's thread
  WorkQueue queue_{64};
};

/// Turns what the engine reports of one run into rows, frames and progress. What the log has already stays as it is.
/// Keeps a reference to the task.
class Recorder : public Watcher {
 public:
  /// @param run     its number among those made together, from 1
  /// @param ending  who ends the run holds it: then nothing more is recorded
  Recorder(int64_t run, const Task& task, std::mutex& ending, LogWriter& log, FrameWriter& frames, Progress& progress);

  void answered(const Question& question, const Answer& answer) override;
  Verdict stepped(const Step& step) override;  ///< records it; decides nothing
  void decided(const Step& step, const Verdict& verdict) override;

  /// The first step of the last quarter whose x0 has an rms above `most`.
  struct WideStep {
    int64_t step;
    double rms;
  };
  std::optional<WideStep> wider_than(double most) const;

  /// How far each step's x0 was from the latents that the run ended with.
  std::map<int64_t, double> distances_to(const Tensor& final_latents) const;

  /// Of which steps frames were asked for, by kind: the order of their files.
  const std::map<FrameKind, std::vector<int64_t>>& frame_steps() const { return chosen_.steps(); }
  bool has_kept(const std::string& file) const { return kept_.contains(file); }  ///< a frame that was there before
  bool in_a_step() const { return !at_the_end_ && !stopped_; }                   ///< of those that are still to be made

  const std::string& stop_reason() const { return stop_reason_; }

  int64_t steps() const { return steps_; }
  NoiseLevel last_asked() const { return last_asked_; }
  int64_t calls() const { return meter_.calls(); }
  int64_t shared_calls() const { return shared_calls_; }  ///< whose answers were known already
  double network_seconds() const { return meter_.network_ms() / 1000; }

 private:
  bool is_kept(int64_t step, const std::vector<FrameRequest>& requests) const;
  void submit(int64_t step, std::vector<FrameRequest> requests);
  int64_t logged_steps() const { return static_cast<int64_t>(logged_.steps.size()); }

  const int64_t run_;
  const Task& task_;
  StepFrames chosen_;
  const LoggedPart logged_;  // of a new run nothing
  std::mutex& ending_;
  LogWriter& log_;
  FrameWriter& frames_;
  Progress& progress_;

  StepMeter meter_;
  int64_t shared_calls_ = 0;
  NoiseLevel last_asked_;
  int64_t steps_;
  bool keeps_frames_;           // those of the steps so far were all there
  std::set<std::string> kept_;  // their files
  bool at_the_end_ = false, stopped_ = false;
  std::string stop_reason_;
};

}  // namespace steplapse
