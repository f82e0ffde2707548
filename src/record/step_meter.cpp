#include "record/step_meter.h"

#include <utility>

#include "base/aten.h"

namespace steplapse {
namespace {

double rms(const Tensor& x) { return x.square().mean().sqrt().item<double>(); }

}  // namespace

StepMeter::StepMeter(const Recipe& recipe) : x_(recipe.init_noise * recipe.schedule.init_scale) {}

void StepMeter::answered(const Question& question, const Answer& answer) {
  if (!first_asked_) {
    first_asked_ = question.level;
    if (answer.cond.defined() && answer.uncond.defined())
      guidance_norm_ = (answer.cond - answer.uncond).norm().item<double>();
  }
  ++calls_;
  denoiser_ms_ += answer.milliseconds;
  network_ms_ += answer.milliseconds;
}

StepRow StepMeter::stepped(const Step& step) {
  StepRow row;
  row.step = step.number;
  row.level = first_asked_.value();
  row.latents_rms_change = rms(step.x - x_);
  if (!estimates_.empty()) row.x0_rms_change = rms(step.x0 - estimates_.back());
  row.guidance_norm = guidance_norm_;
  row.denoiser_calls = calls_;
  row.denoiser_ms = denoiser_ms_;

  x_ = step.x;
  estimates_.push_back(step.x0);
  first_asked_.reset();
  guidance_norm_.reset();
  denoiser_ms_ = 0;
  return row;
}

}  // namespace steplapse
