#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/work_queue.h"
#include "plan/plan.h"
#include "runs/progress.h"
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

/// Turns what the engine reports of one run into rows, frames and progress. Keeps a reference to the plan.
class Recorder : public Watcher {
 public:
  /// @param run     its number among those made together, from 1
  /// @param ending  who ends the run holds it: then nothing more is recorded
  Recorder(int64_t run, const Plan& plan, const FrameSelection& selection, std::mutex& ending, LogWriter& log,
           FrameWriter& frames, Progress& progress);

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
  bool in_a_step() const { return !at_the_end_ && !stopped_; }  ///< of those that are still to be made

  const std::string& stop_reason() const { return stop_reason_; }

  int64_t steps() const { return steps_; }
  NoiseLevel last_asked() const { return last_asked_; }
  int64_t calls() const { return calls_; }
  double network_seconds() const { return network_ms_ / 1000; }

 private:
  StepRow row_of(const Step& step) const;

  const int64_t run_;
  const Plan& plan_;
  StepFrames chosen_;
  std::mutex& ending_;
  LogWriter& log_;
  FrameWriter& frames_;
  Progress& progress_;

  Tensor x_;                               // latents after the last step
  std::vector<Tensor> estimates_;          // x0 of each step
  std::optional<NoiseLevel> first_asked_;  // in this step
  std::optional<double> guidance_norm_;
  NoiseLevel last_asked_;
  double denoiser_ms_ = 0, network_ms_ = 0;
  int64_t steps_ = 0, calls_ = 0;
  bool at_the_end_ = false, stopped_ = false;
  std::string stop_reason_;
};

}  // namespace steplapse
