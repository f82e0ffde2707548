#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "record/facts.h"
#include "steplapse/engine.h"
#include "steplapse/recipe.h"
#include "views/frame_selection.h"
#include "views/frames.h"

namespace steplapse {

/// Turns what a run is told, or a log when it is fed again, into the frames that were chosen.
class StepFrames {
 public:
  /// Both must outlive it.
  StepFrames(const FrameSelection& selection, const Recipe& recipe) : selection_(selection), recipe_(recipe) {}

  std::vector<FrameRequest> begun(const Tensor& x);               ///< with the latents at the first level
  void answered(const Question& question, const Answer& answer);  ///< for each answer
  std::vector<FrameRequest> stepped(const Step& step);            ///< after each step
  const std::map<FrameKind, std::vector<int64_t>>& steps() const { return steps_; }  ///< with frames so far, by kind

 private:
  FrameRequest request(FrameKind kind, int64_t step, const NoiseLevel& level, const Tensor& latents);
  std::optional<FrameRequest> request_of(FrameKind kind, const Step& step);

  const FrameSelection& selection_;
  const Recipe& recipe_;
  std::optional<Question> asked_;  // first in this step
  Answer answer_;                  // to it
  std::optional<FrameRequest::Before> before_;
  std::map<FrameKind, std::vector<int64_t>> steps_;
};

}  // namespace steplapse
