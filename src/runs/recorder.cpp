#include "runs/recorder.h"

#include <algorithm>
#include <filesystem>

#include "base/aten.h"

namespace steplapse {
namespace {

double rms(const Tensor& x) { return x.square().mean().sqrt().item<double>(); }

}  // namespace

Recorder::Recorder(int64_t run, const Task& task, std::mutex& ending, LogWriter& log, FrameWriter& frames,
                   Progress& progress)
    : run_(run),
      task_(task),
      chosen_(task.frames, task.plan.recipe),
      logged_(task.logged.value_or(LoggedPart{})),
      ending_(ending),
      log_(log),
      frames_(frames),
      progress_(progress),
      meter_(task.plan.recipe),
      steps_(logged_steps()),
      keeps_frames_(task.logged.has_value()) {
  submit(0, chosen_.begun(meter_.x()));
}

void Recorder::answered(const Question& question, const Answer& answer) {
  const std::lock_guard guard(ending_);
  meter_.answered(question, answer);
  chosen_.answered(question, answer);
  shared_calls_ += answer.milliseconds == 0;
  if (question.call <= logged_.calls) return;
  log_.push([question, answer](RunLog& log) { log.add_call(question, answer); });
}

Verdict Recorder::stepped(const Step& step) {
  const StepRow row = meter_.stepped(step);
  const bool is_logged = step.number <= logged_steps();
  std::vector<FrameRequest> requests;
  {
    const std::lock_guard guard(ending_);
    if (!is_logged) log_.push([row](RunLog& log) { log.add_step(row); });
    steps_ = std::max(steps_, step.number);
    at_the_end_ = step.level == task_.plan.recipe.schedule.levels.back();
    requests = chosen_.stepped(step);
  }
  submit(step.number, std::move(requests));
  if (!is_logged) progress_.step(run_, row);
  last_asked_ = row.level;
  return {};
}

std::optional<Recorder::WideStep> Recorder::wider_than(double most) const {
  const std::vector<Tensor>& estimates = meter_.estimates();
  for (size_t i = estimates.size() * 3 / 4; i < estimates.size(); ++i) {
    const double found = rms(estimates[i].to(at::kDouble));  // of 1e20 a float's square is infinite
    if (found > most) return WideStep{static_cast<int64_t>(i) + 1, found};
  }
  return std::nullopt;
}

std::map<int64_t, double> Recorder::distances_to(const Tensor& final_latents) const {
  std::map<int64_t, double> distances;
  int64_t step = 0;
  for (const Tensor& estimate : meter_.estimates()) distances[++step] = rms(estimate - final_latents);
  return distances;
}

/// The frames of a step are there, and the log says what they took.
bool Recorder::is_kept(int64_t step, const std::vector<FrameRequest>& requests) const {
  if (!keeps_frames_ || step > logged_steps()) return false;
  if (step > 0 && !requests.empty() && !logged_.steps[static_cast<size_t>(step) - 1].frame_ms) return false;
  return std::all_of(requests.begin(), requests.end(), [&](const FrameRequest& request) {
    return std::filesystem::exists(task_.folder / file_of(request));
  });
}

/// From the first frame on that is not there, all are made.
void Recorder::submit(int64_t step, std::vector<FrameRequest> requests) {
  if (is_kept(step, requests)) {
    const std::lock_guard guard(ending_);
    for (const FrameRequest& request : requests) kept_.insert(file_of(request));
    return;
  }
  if (keeps_frames_) log_.push([step](RunLog& log) { log.forget_frames(step); });
  keeps_frames_ = false;
  for (FrameRequest& request : requests) frames_.submit(std::move(request));
}

void Recorder::decided(const Step& step, const Verdict& verdict) {
  const std::lock_guard guard(ending_);
  if (verdict.stop) {
    log_.push([number = step.number, reason = verdict.reason](RunLog& log) { log.add_stop(number, reason); });
    stopped_ = true;
    stop_reason_ = verdict.reason;
  } else if (verdict.x.defined()) {
    meter_.go_on_with(verdict.x);
    if (step.number <= logged_steps()) return;
    log_.push([number = step.number, verdict](RunLog& log) { log.add_latents(number, verdict.x, verdict.reason); });
  }
}

}  // namespace steplapse
