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

/// The network's prediction for x at a level: its clean latents x0 and its noise eps, both in the shape of x.
struct Prediction {
  Tensor x0;
  Tensor eps;
};

/// A step that was made: step k of n goes from levels[k - 1] to levels[k].
struct Step {
  int64_t number;    ///< counts from 1
  NoiseLevel level;  ///< the level that x has reached
  Tensor x;          ///< [1, C, h, w] latents after the step
  Tensor x0;         ///< [1, C, h, w] the estimate of the clean latents that the step was made with
};

/// A sampler at work: a coroutine that asks for predictions and reports steps, and waits until it is answered.
///
/// `resume()` runs it to its next question, its next step or its end. After that exactly one of `question()`, `step()`
/// and `finished()` is set. It may be destroyed at any point. `resume()` passes on what the sampler throws.
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
  const Question* question() const;  ///< the question that it waits to have answered, or null
  const Step* step() const;          ///< the step it has just made, or null
  bool finished() const;
  Tensor result() const;  ///< x at the last level; only once finished

  void answer(Prediction prediction);   ///< answers `question()`; call `resume()` next
  void continue_with(Tensor x);         ///< sets the latents after `step()`; call `resume()` next
  void fail(std::exception_ptr error);  ///< throws this exception where the coroutine waits, and resumes it

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

/// Asks for the prediction for x, [1, C, h, w], at a level. For `co_await`: gives a Prediction once the network has
/// answered.
inline PredictAwaiter predict(Tensor x, NoiseLevel level) { return {std::move(x), level}; }

/// Reports a step. For `co_await`: gives the latents to go on with, which a watcher may have changed.
/// @param number  of the step, from 1
/// @param level   the level that x has reached
/// @param x0      the estimate of the clean latents, which is the result if the run is stopped here
inline StepAwaiter step_done(size_t number, NoiseLevel level, Tensor x, Tensor x0) {
  return {static_cast<int64_t>(number), level, std::move(x), std::move(x0)};
}

/// x0 and eps from the network's output for x at a level. All are of one shape; no formula divides by zero.
/// @throws std::domain_error  x0 or eps is undefined at this level, which the text names: any type at sigma 0, epsilon
///                            at alpha 0.
///
/// Source: Salimans & Ho 2022 (arXiv:2202.00512), appendix D, for v_prediction; Lipman et al. 2023 (arXiv:2210.02747)
/// for flow.
Prediction prediction_of(PredictionType type, const Tensor& x, const Tensor& output, const NoiseLevel& level);

/// What a sampler may be told. A sampler ignores the options that its row in samplers() does not name.
struct SamplerOptions {
  double eta = 0;  ///< the share of fresh noise: 0 is deterministic, 1 draws all noise anew
  /// Noise added before a step where sigma / alpha lies in [s_tmin, s_tmax]: S_churn of Karras et al. 2022
  /// (arXiv:2206.00364), algorithm 2. 0: none.
  double s_churn = 0, s_tmin = 0, s_tmax = std::numeric_limits<double>::infinity();
  double s_noise = 1;                                      ///< multiplies all fresh noise
  std::optional<double> clip_sample_range = std::nullopt;  ///< x0 is clipped to plus and minus this; none: not clipped

  bool operator==(const SamplerOptions&) const = default;
};

/// A row of samplers().
struct Sampler {
  std::string_view name;   ///< on the command line
  std::string_view label;  ///< in pictures, as web UIs write it
  /// Starts a trajectory.
  /// @param x         [1, C, h, w] float32 on the CPU: unit noise times schedule.init_scale
  /// @param schedule  n + 1 levels for n steps; sigma / alpha falls
  /// @param noise     the image's own stream
  Trajectory (*start)(Tensor x, Schedule schedule, SamplerOptions options, Noise noise);
  int order = 1;              ///< of its error where it is deterministic: 2 means a quarter for twice the steps
  double calls_per_step = 1;  ///< denoiser calls in a step; the last step may need fewer
  std::optional<double> eta = std::nullopt;  ///< the default eta; none: the sampler ignores eta
  bool churns = false;                       ///< honours s_churn, s_tmin and s_tmax
  bool fresh_noise = false;                  ///< draws noise even where eta and s_churn are 0
  bool picks_levels = false;                 ///< chooses its levels itself, between the schedule's first and last
  int64_t picks_levels_from =
      0;                  ///< the least number of steps for which it does so; with fewer it keeps the schedule's
  bool adaptive = false;  ///< chooses the number of steps itself; the requested number is ignored
  /// The schedule of its authors or of most tools, a name of schedules(). It is used where the user names none. None:
  /// the bundle's schedule is used.
  std::optional<std::string_view> usual_schedule = std::nullopt;
  bool ends_at_final_alpha = false;  ///< ends at RunEnd::final_alpha where the schedule may, else at sigma 0
  /// Other tools' names for it: "diffusers:DDIMScheduler", "a1111:DDIM", "comfyui:ddim", "sd.cpp:ddim",
  /// "k-diffusion:...".
  std::vector<std::string_view> aliases = {};

  bool draws_noise() const { return fresh_noise || eta.value_or(0) > 0; }  ///< with the default options
};

/// The questions and steps of a sampler on a schedule, without a network.
struct SamplerOutline {
  struct Question {
    int64_t step;  ///< the step that it belongs to, from 1
    NoiseLevel level;
  };
  std::vector<Question> questions;
  int64_t steps = 0;
};
/// Runs the sampler on dummy answers. Valid because non-adaptive samplers choose their steps by the levels alone; not
/// for adaptive ones.
/// @throws whatever the sampler throws
SamplerOutline outline(const Sampler& sampler, const SamplerOptions& options, const Schedule& schedule);

/// All samplers, in the order in which tables show them.
const std::vector<Sampler>& samplers();

/// @throws std::invalid_argument  no sampler has this name; the text suggests the most similar one
const Sampler& sampler_named(std::string_view name);

}  // namespace steplapse
