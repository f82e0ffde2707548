#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "progress.h"
#include "steplapse/engine.h"
#include "steplapse/frames.h"
#include "steplapse/plan.h"
#include "steplapse/run_log.h"
#include "steplapse/work_queue.h"

namespace steplapse {

/// The log, written by a thread of its own: any prefix of it is valid, so it may lag behind the sampler.
class LogWriter {
 public:
  explicit LogWriter(RunLog& log) : log_(log) {}
  template <typename Write>
  void push(Write write) {
    queue_.push([this, write = std::move(write)] {
      write(log_);
      log_.commit_when_due();
    });
  }
  void finish() {
    queue_.drain();
    log_.commit();
  }

 private:
  RunLog& log_;
  WorkQueue queue_{64};
};

/// Turns what the engine reports of one run into rows, frames and progress, and ends the run when a signal was noted.
class Recorder : public Watcher {
 public:
  /// @param run  its number among those made together, from 1
  Recorder(int64_t run, const Plan& plan, const FrameSelection& selection, LogWriter& log, FrameWriter& frames,
           Progress& progress);

  void answered(const Question& question, const Answer& answer) override;
  Verdict stepped(const Step& step) override;

  /// How far each step's x0 was from the latents that the run ended with.
  std::map<int64_t, double> distances_to(const Tensor& final_latents) const;

  /// Of which steps frames were asked for, by kind: the order of their files.
  const std::map<std::string, std::vector<int64_t>>& frame_steps() const { return frame_steps_; }

  int64_t steps() const { return steps_; }
  NoiseLevel last_asked() const { return last_asked_; }
  int64_t calls() const { return calls_; }
  double network_seconds() const { return network_ms_ / 1000; }

 private:
  void submit(const std::string& kind, int64_t step, const NoiseLevel& level, const Tensor& latents);
  bool is_last(const Step& made) const;
  StepRow row_of(const Step& step) const;
  bool stop_for_signal(const Step& made);

  const int64_t run_;
  const Plan& plan_;
  const FrameSelection& selection_;
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
  std::map<std::string, std::vector<int64_t>> frame_steps_;
};

}  // namespace steplapse
