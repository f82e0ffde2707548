#include "views/step_frames.h"

#include <algorithm>
#include <utility>

#include "steplapse/sampler.h"

namespace steplapse {

std::vector<FrameRequest> StepFrames::begun(const Tensor& x) {
  if (!selection_.has(FrameKind::xt, 0, false)) return {};
  return {request(FrameKind::xt, 0, recipe_.schedule.levels.front(), x)};
}

void StepFrames::answered(const Question& question, const Answer& answer) {
  if (asked_) return;
  asked_ = question;
  answer_ = answer;
}

std::vector<FrameRequest> StepFrames::stepped(const Step& step) {
  const bool last = step.level == recipe_.schedule.levels.back();
  const auto is_chosen = [&](FrameKind kind) { return selection_.has(kind, step.number, last); };
  std::vector<FrameRequest> requests;
  for (const FrameKind kind : selection_.kinds) {
    if (!is_chosen(kind)) continue;
    if (auto wanted = request_of(kind, step)) requests.push_back(std::move(*wanted));
  }
  if (is_chosen(FrameKind::x0) || is_chosen(FrameKind::diff) || is_chosen(FrameKind::signed_diff)) {
    before_ = {step.number, step.x0};
  }
  asked_.reset();
  return requests;
}

std::optional<FrameRequest> StepFrames::request_of(FrameKind kind, const Step& step) {
  const NoiseLevel level = asked_.value().level;
  if (kind == FrameKind::xt) return request(kind, step.number, step.level, step.x);
  if (kind == FrameKind::cond || kind == FrameKind::uncond) {
    const Tensor& output = kind == FrameKind::cond ? answer_.cond : answer_.uncond;
    if (!output.defined()) return std::nullopt;
    return request(kind, step.number, level, prediction_of(recipe_.prediction_type, asked_->x, output, level).x0);
  }
  if (is_diff(kind) && !before_) return std::nullopt;
  FrameRequest wanted = request(kind, step.number, level, step.x0);
  wanted.before = before_;
  return wanted;
}

FrameRequest StepFrames::request(FrameKind kind, int64_t step, const NoiseLevel& level, const Tensor& latents) {
  std::vector<int64_t>& steps = steps_[kind];
  steps.push_back(step);
  FrameRequest wanted{kind, step, level, latents};
  if (selection_.count_files) wanted.number = std::ssize(steps);
  return wanted;
}

}  // namespace steplapse
