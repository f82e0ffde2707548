#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "steplapse/engine.h"
#include "steplapse/recipe.h"
#include "steplapse/step_row.h"

namespace steplapse {

/// Measures the steps of a run: from what a watcher is told to the rows of the log. It keeps each step's x0.
class StepMeter {
 public:
  explicit StepMeter(const Recipe& recipe);

  void answered(const Question& question, const Answer& answer);
  StepRow stepped(const Step& step);                        ///< the row of the step, without what comes from its frames
  void go_on_with(const Tensor& latents) { x_ = latents; }  ///< a watcher changed them after the step

  const Tensor& x() const { return x_; }                               ///< after the last step, or at the start
  const std::vector<Tensor>& estimates() const { return estimates_; }  ///< x0 of each step
  int64_t calls() const { return calls_; }
  double network_ms() const { return network_ms_; }

 private:
  Tensor x_;
  std::vector<Tensor> estimates_;
  std::optional<NoiseLevel> first_asked_;  // in this step, and so on
  std::optional<double> guidance_norm_;
  double denoiser_ms_ = 0;
  double network_ms_ = 0;  // of the run
  int64_t calls_ = 0;
};

}  // namespace steplapse
