#pragma once

#include <coroutine>
#include <exception>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "steplapse/noise.h"
#include "steplapse/noise_level.h"
#include "steplapse/tensor.h"

namespace steplapse {

/// What the network says of x at a level: the clean latents and the noise in it. Both shaped as x.
struct Prediction {
  Tensor x0;
  Tensor eps;
};

/// A step as its watchers see it: step k of n took levels[k - 1] to levels[k].
struct Step {
  int64_t number;    ///< 1 for the first
  NoiseLevel level;  ///< where x is now, levels[number]
  Tensor x;          ///< [1, C, h, w] latents after the step
  Tensor x0;         ///< the estimate the step was made with
};

/// A sampler at work: a coroutine that asks for predictions and reports steps, and stands still until it is answered.
///
/// `resume()` runs it to its next question or step; then exactly one of `question()`, `step()`, `finished()` holds.
/// Destroying it at any point is fine. What the sampler throws comes out of `resume()`.
class Trajectory {
 public:
  struct Question {
    Tensor x;
    NoiseLevel level;
  };
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Trajectory(Handle handle) : handle_(handle) {}
  Trajectory(Trajectory&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Trajectory& operator=(Trajectory&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Trajectory() {
    if (handle_) handle_.destroy();
  }

  void resume();
  const Question* question() const;  ///< what it waits to be told, or null
  const Step* step() const;          ///< the step it has just made, or null
  bool finished() const;
  Tensor result() const;  ///< once finished: x at the last level

  void answer(Prediction prediction);   ///< to `question()`; then `resume()`
  void continue_with(Tensor x);         ///< after `step()`: the latents to go on with; then `resume()`
  void fail(std::exception_ptr error);  ///< resumes with this exception thrown at the place where it waits

 private:
  Handle handle_;
};

// GCC 12 destroys awaiters twice unless they have a constructor, no copy, and stand alone in their statement:
// write `const Prediction p = co_await predict(x, level);`, never inside ?: or braces.
class PredictAwaiter {
 public:
  PredictAwaiter(Tensor x, NoiseLevel level) : question_{std::move(x), level} {}
  PredictAwaiter(const PredictAwaiter&) = delete;
  PredictAwaiter& operator=(const PredictAwaiter&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(Trajectory::Handle self);
  Prediction await_resume();

 private:
  friend class Trajectory;
  Trajectory::Question question_;
  Prediction answer_;
  std::exception_ptr error_;
};

class StepAwaiter {
 public:
  StepAwaiter(int64_t number, NoiseLevel level, Tensor x, Tensor x0)
      : step_{number, level, std::move(x), std::move(x0)} {}
  StepAwaiter(const StepAwaiter&) = delete;
  StepAwaiter& operator=(const StepAwaiter&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(Trajectory::Handle self);
  Tensor await_resume();

 private:
  friend class Trajectory;
  Step step_;
  Tensor next_;
  std::exception_ptr error_;
};

struct Trajectory::promise_type {
  PredictAwaiter* asking = nullptr;
  StepAwaiter* stepping = nullptr;
  std::exception_ptr thrown;
  Tensor result;

  Trajectory get_return_object() { return Trajectory(Handle::from_promise(*this)); }
  std::suspend_always initial_suspend() noexcept { return {}; }
  std::suspend_always final_suspend() noexcept { return {}; }
  void return_value(Tensor x) { result = std::move(x); }
  void unhandled_exception() { thrown = std::current_exception(); }
};

/// What is in x at this level? For `co_await`: gives a Prediction when the network has answered.
inline PredictAwaiter predict(Tensor x, NoiseLevel level) { return {std::move(x), level}; }

/// Step `number` is made and x now stands at `level`. For `co_await`: gives the latents to go on with, which a
/// watcher may have changed. `x0` is the picture should the run end here.
inline StepAwaiter step_done(int64_t number, NoiseLevel level, Tensor x, Tensor x0) {
  return {number, level, std::move(x), std::move(x0)};
}

/// x0 and eps of a raw network output at a level, in float32, by formulas that never divide by zero.
/// @throws std::domain_error  naming the level, where it can't be told: any type at sigma 0, epsilon at alpha 0.
Prediction prediction_of(PredictionType type, const Tensor& x, const Tensor& output, const NoiseLevel& level);

struct SamplerOptions {
  double eta = 0;  ///< share of fresh noise: 0 deterministic, 1 full
  // Karras et al. 2022 (arXiv:2206.00364), algorithm 2: noise added where sigma / alpha lies in [s_tmin, s_tmax].
  double s_churn = 0, s_tmin = 0, s_tmax = std::numeric_limits<double>::infinity();
  double s_noise = 1;                                      ///< scale of all fresh noise
  std::optional<double> clip_sample_range = std::nullopt;  ///< x0 is clipped to plus and minus this

  bool operator==(const SamplerOptions&) const = default;
};

/// A sampler in the table of those there are.
/// `start` takes x = [1, C, h, w] float32 on the CPU, unit noise times schedule.init_scale, and the image's own stream.
struct Sampler {
  std::string_view name;   ///< as on the command line
  std::string_view label;  ///< as web UIs write it into pictures
  Trajectory (*start)(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);
  int order = 1;            ///< how its error falls where it is deterministic: 2 is a quarter for twice the steps
  double calls_a_step = 1;  ///< of the denoiser; the last step may need fewer
  std::optional<double> eta = std::nullopt;  ///< its default; none: it knows no eta, and draws by itself or not at all
  bool churns = false;                       ///< knows s_churn, s_tmin, s_tmax
  bool fresh_noise = false;                  ///< draws noise even where eta and s_churn are 0, or without them
  bool picks_levels = false;                 ///< chooses its levels itself, between the schedule's first and last
  int64_t picks_levels_from = 0;  ///< the number of steps from which it does so; below, it takes them as listed
  bool adaptive = false;          ///< chooses the number of steps itself; the requested number is ignored
  /// Of schedules(): the levels that its authors or most tools give it, where nobody names others; none: the bundle's.
  std::optional<std::string_view> usual_schedule = std::nullopt;
  bool own_last_level = false;  ///< ends at the model's own last level where the schedule may; the others at sigma 0
  /// Other tools' names for it: "diffusers:DDIMScheduler", "a1111:DDIM", "comfyui:ddim", "sd.cpp:ddim", "k-diffusion:...".
  std::vector<std::string_view> aliases = {};

  bool draws_noise() const { return fresh_noise || eta.value_or(0) > 0; }  ///< where it is told nothing
};

/// What a sampler does on its way down some levels.
struct SamplerOutline {
  struct Question {
    int64_t step;  ///< it is asked in, from 1
    NoiseLevel level;
  };
  std::vector<Question> questions;
  int64_t steps = 0;
};
/// Found by answering it, since most choose by the levels alone. (Of an adaptive one the answers decide: don't ask.)
/// @throws what the sampler does
SamplerOutline outline(const Sampler& sampler, const SamplerOptions& options, const Schedule& schedule);

const std::vector<Sampler>& samplers();
const Sampler& sampler_named(std::string_view name);  ///< @throws std::invalid_argument with the nearest name

}  // namespace steplapse
