#pragma once

#include <vector>

#include "steplapse/run_log.h"

namespace steplapse {

/// A step of a run, with all latents; each is [1, C, h, w].
struct HistoryStep {
  Step step;                        ///< its number, the level reached, x after it (as a watcher left it), and its x0
  std::vector<Question> questions;  ///< what the network was asked in it; the first is asked at the step's own level
  std::vector<Answer> answers;      ///< to each question, before guidance

  const NoiseLevel& level() const { return questions.front().level; }  ///< that of steps.csv and of the x0 frame
};

/// All latents of a run, made again from its log: what every view of them begins with. They take five tensors a step.
struct History {
  Recipe recipe;
  Tensor start;                    ///< x at the first level
  std::vector<HistoryStep> steps;  ///< as far as the log goes
  Tensor latents;                  ///< the run's result; undefined where the log ends before its run does

  /// The estimate of the clean latents at the end: the result, or where there is none the last x0; the start at worst.
  Tensor last_estimate() const;
};

/// @throws std::runtime_error, OutputError  as refeed does
History history_of(const RunLog& log);

/// What the network predicted at a step's own level, after guidance. (The step's x0 may differ: some samplers clip it.)
Prediction guided_prediction(const Recipe& recipe, const HistoryStep& step);

/// The same by one of its two answers alone.
/// @param output  a branch of the answer to the step's first question
Prediction branch_prediction(const Recipe& recipe, const HistoryStep& step, const Tensor& output);

}  // namespace steplapse
