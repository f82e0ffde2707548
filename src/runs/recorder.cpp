#include "runs/recorder.h"

#include <ATen/ATen.h>

namespace steplapse {
namespace {

double rms(const Tensor& x) { return x.square().mean().sqrt().item<double>(); }

}  // namespace

Recorder::Recorder(int64_t run, const Plan& plan, const FrameSelection& selection, std::mutex& ending, LogWriter& log,
                   FrameWriter& frames, Progress& progress)
    : run_(run),
      plan_(plan),
      chosen_(selection, plan.recipe),
      ending_(ending),
      log_(log),
      frames_(frames),
      progress_(progress) {
  x_ = plan.recipe.init_noise * plan.recipe.schedule.init_scale;
  for (FrameRequest& request : chosen_.begun(x_)) frames_.submit(std::move(request));
}

void Recorder::answered(const Question& question, const Answer& answer) {
  const std::lock_guard guard(ending_);
  if (!first_asked_) {
    first_asked_ = question.level;
    if (answer.cond.defined() && answer.uncond.defined())
      guidance_norm_ = (answer.cond - answer.uncond).norm().item<double>();
  }
  chosen_.answered(question, answer);
  ++calls_;
  denoiser_ms_ += answer.milliseconds;
  network_ms_ += answer.milliseconds;
  log_.push([question, answer](RunLog& log) { log.add_call(question, answer); });
}

Verdict Recorder::stepped(const Step& step) {
  const StepRow row = row_of(step);
  std::vector<FrameRequest> requests;
  {
    const std::lock_guard guard(ending_);
    log_.push([row](RunLog& log) { log.add_step(row); });
    steps_ = step.number;
    at_the_end_ = step.level == plan_.recipe.schedule.levels.back();
    requests = chosen_.stepped(step);
  }
  for (FrameRequest& request : requests) frames_.submit(std::move(request));
  progress_.step(run_, row);

  last_asked_ = row.level;
  x_ = step.x;
  estimates_.push_back(step.x0);
  first_asked_.reset();
  guidance_norm_.reset();
  denoiser_ms_ = 0;
  return {};
}

std::optional<Recorder::WideStep> Recorder::wider_than(double most) const {
  for (size_t i = estimates_.size() * 3 / 4; i < estimates_.size(); ++i) {
    const double found = rms(estimates_[i].to(at::kDouble));  // of 1e20 a float's square is infinite
    if (found > most) return WideStep{static_cast<int64_t>(i) + 1, found};
  }
  return std::nullopt;
}

std::map<int64_t, double> Recorder::distances_to(const Tensor& final_latents) const {
  std::map<int64_t, double> distances;
  for (size_t i = 0; i < estimates_.size(); ++i) {
    distances[static_cast<int64_t>(i) + 1] = rms(estimates_[i] - final_latents);
  }
  return distances;
}

StepRow Recorder::row_of(const Step& step) const {
  StepRow row;
  row.step = step.number;
  row.level = first_asked_.value();
  row.latents_rms_change = rms(step.x - x_);
  if (!estimates_.empty()) row.x0_rms_change = rms(step.x0 - estimates_.back());
  row.guidance_norm = guidance_norm_;
  row.denoiser_calls = calls_;
  row.denoiser_ms = denoiser_ms_;
  return row;
}

void Recorder::decided(const Step& step, const Verdict& verdict) {
  const std::lock_guard guard(ending_);
  if (verdict.stop) {
    log_.push([number = step.number, reason = verdict.reason](RunLog& log) { log.add_stop(number, reason); });
    stopped_ = true;
    stop_reason_ = verdict.reason;
  } else if (verdict.x.defined()) {
    log_.push([number = step.number, verdict](RunLog& log) { log.add_latents(number, verdict.x, verdict.reason); });
    x_ = verdict.x;
  }
}

}  // namespace steplapse
