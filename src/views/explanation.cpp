#include "views/explanation.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <stdexcept>

#include "base/aten.h"
#include "views/spectrum.h"

namespace steplapse {

double rms_of(const Tensor& x) { return x.to(at::kDouble).square().mean().sqrt().item<double>(); }

std::optional<int64_t> holds_from(int64_t steps, const std::function<bool(int64_t)>& holds) {
  int64_t first = steps + 1;
  while (first > 1 && holds(first - 1)) --first;
  return first <= steps ? std::optional(first) : std::nullopt;
}

double degrees_of(double cosine) { return std::acos(std::clamp(cosine, -1.0, 1.0)) * 180 / std::numbers::pi; }

namespace {

// ---- settling

std::optional<Settling> band_settling(size_t band, const std::vector<Tensor>& images, const Tensor& end) {
  const auto size = [&](const Tensor& image) { return rms_by_band(image)[band]; };
  if (size(end) == 0) return std::nullopt;
  const double near = kSettled * size(end);
  return Settling{kFrequencyBands[band].name, holds_from(std::ssize(images), [&](int64_t step) {
                    return size(images[static_cast<size_t>(step - 1)] - end) <= near;
                  })};
}

Settling colour_settling(const std::vector<Tensor>& images, const Tensor& end) {
  const double near = kSettled * rms_of(end - end.mean({1, 2}, true));
  return {"colours", holds_from(std::ssize(images), [&](int64_t step) {
            return rms_of((images[static_cast<size_t>(step - 1)] - end).mean({1, 2})) <= near;
          })};
}

/// The third of 0 to `size` that a cell of the grid takes.
std::pair<int64_t, int64_t> third(int64_t cell, int64_t size) { return {cell * size / 3, (cell + 1) * size / 3}; }

Region last_region(const std::vector<Tensor>& images, const Tensor& end, int64_t width, int64_t height) {
  constexpr const char* kNames[3][3] = {
      {"top left", "top", "top right"}, {"left", "centre", "right"}, {"bottom left", "bottom", "bottom right"}};
  const double near = kSettled * rms_of(end);
  Region last;
  double furthest = -1;
  for (int64_t row = 0; row < 3; ++row) {
    for (int64_t column = 0; column < 3; ++column) {
      const auto [top, bottom] = third(row, end.size(1));
      const auto [left, right] = third(column, end.size(2));
      if (top == bottom || left == right) continue;
      const auto distance = [&, top = top, bottom = bottom, left = left, right = right](int64_t step) {
        return rms_of((images[static_cast<size_t>(step - 1)] - end).slice(1, top, bottom).slice(2, left, right));
      };
      const auto step = holds_from(std::ssize(images), [&](int64_t each) { return distance(each) <= near; });
      double way = 0;
      for (int64_t each = 1; each <= std::ssize(images); ++each) way += distance(each);
      const int64_t never = std::ssize(images) + 1;
      const bool later = step.value_or(never) > last.step.value_or(never);
      const bool longer = step.value_or(never) == last.step.value_or(never) && way > furthest;
      if (furthest >= 0 && !later && !longer) continue;
      furthest = way;
      last = {kNames[row][column],
              left * width / end.size(2),
              top * height / end.size(1),
              (right - left) * width / end.size(2),
              (bottom - top) * height / end.size(1),
              step};
    }
  }
  return last;
}

// ---- the two answers

double cosine_of(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(at::kDouble).flatten(), y = b.to(at::kDouble).flatten();
  return (x.dot(y) / (x.norm() * y.norm())).item<double>();
}

struct TwoAnswers {
  double cosine;
  Tensor cond_x0, guided_x0;
};

std::optional<TwoAnswers> two_answers(const Recipe& recipe, const HistoryStep& step) {
  const Answer& answer = step.answers.front();
  if (!answer.cond.defined() || !answer.uncond.defined()) return std::nullopt;
  const Prediction cond = branch_prediction(recipe, step, answer.cond),
                   uncond = branch_prediction(recipe, step, answer.uncond);
  return TwoAnswers{cosine_of(cond.eps, uncond.eps), cond.x0, guided_prediction(recipe, step).x0};
}

/// What a change of x0 moves of the way from a step's level to the next, where x / alpha goes to x0 in a straight line.
double share_of_way(const HistoryStep& step) {
  const double from = noise_ratio(step.level()), to = noise_ratio(step.step.level);
  return std::isinf(from) ? 1 : std::clamp(1 - to / from, 0.0, 1.0);
}

/// Sets left_out, from the last step back: what all steps from each on would have moved.
void estimate_leaving_out(const History& history, std::vector<StepNumbers>& steps) {
  Tensor moved;
  for (size_t i = steps.size(); i-- > 0;) {
    const HistoryStep& step = history.steps[i];
    if (const auto answers = two_answers(history.recipe, step)) {
      const Tensor here = share_of_way(step) * (answers->cond_x0 - answers->guided_x0).to(at::kDouble);
      moved = moved.defined() ? moved + here : here;
    }
    if (moved.defined()) steps[i].left_out = rms_of(moved);
  }
}

std::optional<LeavingOut> leaving_out(const std::string& rule, const std::vector<StepNumbers>& steps,
                                      const std::function<bool(const StepNumbers&)>& allows) {
  const auto from =
      holds_from(std::ssize(steps), [&](int64_t step) { return allows(steps[static_cast<size_t>(step - 1)]); });
  if (!from) return std::nullopt;
  LeavingOut found{.rule = rule};
  for (const StepNumbers& step : steps) {
    if (step.step < *from || !step.cosine) continue;
    if (found.spared++ > 0) continue;
    found.from = step.step;
    found.estimate = step.left_out.value();
  }
  return found.spared > 0 ? std::optional(found) : std::nullopt;
}

}  // namespace

Settlings settlings_of(const std::vector<Tensor>& images, const Tensor& end, int64_t width, int64_t height) {
  if (images.empty()) throw std::invalid_argument("no images to compare");
  Settlings settlings{{colour_settling(images, end)}, last_region(images, end, width, height)};
  for (size_t band = 1; band < kFrequencyBands.size(); ++band) {  // colours are measured otherwise
    if (auto settling = band_settling(band, images, end)) settlings.parts.push_back(std::move(*settling));
  }
  return settlings;
}

Explanation explain(const History& history) {
  Explanation all;
  const Tensor end = history.last_estimate();
  all.end_rms = rms_of(end);
  for (size_t i = 0; i < history.steps.size(); ++i) {
    const HistoryStep& step = history.steps[i];
    const auto x0 = [&](size_t back) { return history.steps[i - back].step.x0.to(at::kDouble); };
    StepNumbers numbers{.step = step.step.number, .level = step.level(), .x0_to_final = rms_of(x0(0) - end)};
    if (i >= 1) numbers.x0_change = rms_of(x0(0) - x0(1));
    if (i >= 2) numbers.second_difference = rms_of(x0(0) - 2 * x0(1) + x0(2));
    if (const auto answers = two_answers(history.recipe, step)) {
      numbers.cosine = answers->cosine;
      numbers.guidance = rms_of(answers->guided_x0 - answers->cond_x0);
    }
    all.steps.push_back(numbers);
  }
  estimate_leaving_out(history, all.steps);
  for (const StepNumbers& step : all.steps) {
    all.guided += step.cosine.has_value();
    if (step.second_difference.value_or(INFINITY) <= kStraight * all.end_rms) all.straight.push_back(step.step);
  }
  const auto add = [&](const char* rule, const std::function<bool(const StepNumbers&)>& allows) {
    if (auto found = leaving_out(rule, all.steps, allows)) all.leaving_out.push_back(std::move(*found));
  };
  add("alike", [](const StepNumbers& step) { return step.cosine.value_or(1) >= kAlike; });
  add("little", [&](const StepNumbers& step) { return step.left_out.value_or(0) <= kLittle * all.end_rms; });
  return all;
}

}  // namespace steplapse
