#include "runs/stop_when_converged.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/aten.h"
#include "base/text.h"
#include "views/explanation.h"

namespace steplapse {
namespace {

std::string rule_text(double threshold) {
  return "less than " + plain(threshold) + " for " + std::to_string(StopWhenConverged::kStepsInARow) + " steps";
}

/// A run that goes on makes at least the steps that its log has.
int64_t first_step_to_end_at(const Task& task) {
  const int64_t logged = task.logged ? static_cast<int64_t>(task.logged->steps.size()) : 0;
  return std::max(logged, StopWhenConverged::least_steps(task.plan.made_steps));
}

std::string psnr_text(double psnr) {
  if (std::isinf(psnr)) return "equal to the final picture";
  char text[48];
  std::snprintf(text, sizeof text, "%.1f dB from the final picture", psnr);
  return text;
}

}  // namespace

nlohmann::ordered_json would_stop_json(const WouldStop& found) {
  nlohmann::ordered_json json{{"threshold", found.threshold},
                              {"step", nullptr},
                              {"denoiser_calls_saved", found.denoiser_calls_saved},
                              {"psnr", nullptr}};
  if (found.step) json["step"] = *found.step;
  if (found.step && std::isfinite(found.psnr)) json["psnr"] = found.psnr;  // JSON has no infinity
  return json;
}

std::string would_stop_line(const WouldStop& found) {
  if (!found.step) return "would not have stopped before its end: x0 did not change " + rule_text(found.threshold);
  return "would have stopped after step " + std::to_string(*found.step) + " of " + std::to_string(found.steps) +
         ": x0 changed " + rule_text(found.threshold) + "; its x0 is " + psnr_text(found.psnr) + ", " +
         counted(found.denoiser_calls_saved, "denoiser call") + " fewer";
}

int64_t StopWhenConverged::least_steps(const std::optional<int64_t>& planned_steps) {
  return std::max(kStepsInARow + 1, (2 * planned_steps.value_or(0) + 2) / 3);
}

StopWhenConverged::StopWhenConverged(const Task& task, double x0_rms)
    : threshold_(task.stop_when_converged ? task.stop_when_converged : task.would_stop),
      ends_run_(task.stop_when_converged.has_value()),
      x0_rms_(x0_rms),
      last_(task.plan.recipe.schedule.levels.back()),
      least_steps_(first_step_to_end_at(task)) {}

void StopWhenConverged::answered(const Question& question, const Answer&) { calls_ = question.call; }

Verdict StopWhenConverged::stepped(const Step& step) {
  if (!threshold_ || settled_ || !has_settled(step) || step.level == last_) return {};
  settled_ = {step.number, calls_, step.x0};
  if (!ends_run_) return {};
  return {.stop = true, .reason = "converged: x0 changed " + rule_text(*threshold_)};
}

bool StopWhenConverged::has_settled(const Step& step) {
  const bool is_small = x0_.defined() && rms_of(step.x0 - x0_) < *threshold_ * x0_rms_;
  steps_in_a_row_ = is_small ? steps_in_a_row_ + 1 : 0;
  x0_ = step.x0;
  return steps_in_a_row_ >= kStepsInARow && step.number >= least_steps_;
}

}  // namespace steplapse
