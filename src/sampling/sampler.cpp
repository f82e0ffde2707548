#include "steplapse/sampler.h"

#include <sstream>
#include <stdexcept>

#include "base/aten.h"

namespace steplapse {

void Trajectory::resume() {
  auto& promise = handle_.promise();
  promise.asking = nullptr;
  promise.stepping = nullptr;
  handle_.resume();
  if (promise.thrown) std::rethrow_exception(std::exchange(promise.thrown, nullptr));
}

const Trajectory::Question* Trajectory::question() const {
  const auto* asking = handle_.promise().asking;
  return asking ? &asking->question_ : nullptr;
}

const Step* Trajectory::step() const {
  const auto* stepping = handle_.promise().stepping;
  return stepping ? &stepping->step_ : nullptr;
}

bool Trajectory::finished() const { return handle_.done(); }

Tensor Trajectory::result() const { return handle_.promise().result; }

void Trajectory::answer(Prediction prediction) { handle_.promise().asking->answer_ = std::move(prediction); }

void Trajectory::continue_with(Tensor x) { handle_.promise().stepping->next_ = std::move(x); }

void Trajectory::fail(std::exception_ptr error) {
  auto& promise = handle_.promise();
  if (promise.asking) promise.asking->error_ = error;
  if (promise.stepping) promise.stepping->error_ = error;
  resume();
}

void PredictAwaiter::await_suspend(Trajectory::Handle self) { self.promise().asking = this; }

Prediction PredictAwaiter::await_resume() {
  if (error_) std::rethrow_exception(error_);
  return std::move(answer_);
}

void StepAwaiter::await_suspend(Trajectory::Handle self) {
  next_ = step_.x;
  self.promise().stepping = this;
}

Tensor StepAwaiter::await_resume() {
  if (error_) std::rethrow_exception(error_);
  return std::move(next_);
}

namespace {

[[noreturn]] void refuse_level(PredictionType type, const NoiseLevel& level) {
  std::ostringstream text;
  text << (level.sigma == 0 ? "eps" : "x0") << " is undefined at alpha " << level.alpha << ", sigma " << level.sigma;
  if (level.timestep) text << " (timestep " << *level.timestep << ")";
  text << " for a model that predicts " << name_of(type);
  throw std::domain_error(text.str());
}

}  // namespace

Prediction prediction_of(PredictionType type, const Tensor& x, const Tensor& output, const NoiseLevel& level) {
  const double alpha = level.alpha, sigma = level.sigma;
  if (sigma == 0 || (alpha == 0 && type == PredictionType::epsilon)) refuse_level(type, level);
  switch (type) {
    case PredictionType::epsilon: return {(x - sigma * output) / alpha, output};
    case PredictionType::v_prediction:  // with alpha² + sigma² = 1, as training noise has it
      return {alpha * x - sigma * output, alpha * output + sigma * x};
    case PredictionType::sample: return {output, (x - alpha * output) / sigma};
    case PredictionType::flow:  // x = alpha x0 + sigma eps with alpha + sigma = 1, and output = eps - x0
      return {x - sigma * output, x + alpha * output};
  }
  throw std::logic_error("a prediction type without a rule");
}

}  // namespace steplapse
