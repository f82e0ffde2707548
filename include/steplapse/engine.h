#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/sampler.h"

namespace steplapse {

/// The network: latents [N, C, h, w], timesteps float32 [N], conditioning tensors each [N, ...] -> [N, C, h, w].
/// Float32 on the CPU in and out.
using Denoiser =
    std::function<Tensor(const Tensor& latents, const Tensor& timesteps, const std::vector<Tensor>& conditioning)>;

/// How the network's two answers become one: uncond + scale * (cond - uncond) (Ho & Salimans 2022, arXiv:2207.12598,
/// eq. 6 in the form of diffusers, scale = w + 1). At scale 1, and outside the interval, it is cond, and uncond is not
/// asked. At scale 0 it is uncond, and cond is not asked (but for `rescale`).
struct GuidanceRule {
  double scale = 1;
  /// The interval: of steps, both ends in it, and of sigma / alpha, above the low end and up to the high one (Kynkäänniemi
  /// et al. 2024, arXiv:2404.07724).
  int64_t first_step = 1, last_step = std::numeric_limits<int64_t>::max();
  double sigma_low = 0, sigma_high = std::numeric_limits<double>::infinity();
  double rescale =
      0;  ///< phi of Lin et al. 2023 (arXiv:2305.08891), eq. 15 and 16: towards the deviation that cond has

  bool stops_early() const { return last_step < std::numeric_limits<int64_t>::max(); }
  bool guides() const { return scale != 1; }  ///< anywhere
  bool asks_uncond(int64_t step, const NoiseLevel& level) const;
  bool asks_cond(int64_t step, const NoiseLevel& level) const;
  int64_t most_rows() const { return guides() && needs_cond() ? 2 : 1; }  ///< in a denoiser call
  Tensor combined(const Tensor& cond, const Tensor& uncond) const;

  bool operator==(const GuidanceRule&) const = default;

 private:
  bool needs_cond() const { return scale != 0 || rescale != 0; }  ///< where uncond is asked
};

/// What the network is told beside the latents. Each tensor is [1, ...]; `uncond` may be empty where the rule guides
/// nowhere.
struct Guidance {
  std::vector<Tensor> cond;
  std::vector<Tensor> uncond;
  GuidanceRule rule = {};
};

/// One question of one trajectory.
struct Question {
  int64_t call;  ///< running number in this trajectory, from 1
  int64_t step;  ///< the step it is asked in, from 1
  NoiseLevel level;
  Tensor x;  ///< [1, C, h, w]
};

/// The network's answer before guidance.
struct Answer {
  Tensor cond, uncond;      ///< undefined where it was not asked; one of them always is defined
  double milliseconds = 0;  ///< of the denoiser call it came with, divided by those that shared it
};

/// What becomes of a trajectory after a step.
struct Verdict {
  bool stop = false;        ///< end here, with the step's x0 as the result
  Tensor x = {};            ///< the latents to go on with; undefined: as they are
  std::string reason = {};  ///< of a stop or of other latents, for the log
};

/// Watches one trajectory. All are called on the thread of Engine::run; what one throws ends that trajectory.
class Watcher {
 public:
  virtual ~Watcher() = default;
  /// A logged answer, to be used in place of the network's; none: ask the network.
  virtual std::optional<Answer> recall(const Question&) { return std::nullopt; }
  virtual void answered(const Question&, const Answer&) {}
  virtual Verdict stepped(const Step&) { return {}; }
  /// What is done after the step: the verdict of this watcher, or of all that watch the trajectory together.
  virtual void decided(const Step&, const Verdict&) {}
};

/// How a trajectory ended.
struct Outcome {
  Tensor latents;            ///< the result; undefined after an error
  bool stopped = false;      ///< a watcher ended it
  std::exception_ptr error;  ///< what ended it otherwise
};

/// Runs trajectories together: whatever all of them ask at once, at whatever timesteps and with guidance or without, is
/// one denoiser call (for latents and conditioning of equal shapes). Each gets what it would get alone, to within the
/// network's own rounding, and to the bit where max_batch is 1.
class Engine {
 public:
  /// Told as soon as a trajectory is over, on the thread of `run`; may `add` others. What it throws comes out of `run`.
  using Ended = std::function<void(size_t index, Outcome outcome)>;

  /// @param max_batch  trajectories in one denoiser call at most; each has one row, or two ([uncond, cond]) with guidance
  Engine(Denoiser denoiser, PredictionType prediction_type, int64_t max_batch = 16);
  ~Engine();

  /// The watcher, if any, must live until the trajectory is over.
  /// @return its index: 0 for the first
  size_t add(Trajectory trajectory, Guidance guidance, Watcher* watcher = nullptr);

  /// Runs all to their ends. One's exception ends that one; the others go on. Where a call of several does not fit into
  /// memory, it is asked again with half as many, and so are those after it.
  void run(const Ended& ended);
  std::vector<Outcome> run();  ///< outcomes in the order of `add`

  int64_t max_batch() const { return max_batch_; }
  void set_max_batch(int64_t max_batch) { max_batch_ = max_batch; }
  int64_t most_at_once() const { return most_at_once_; }  ///< trajectories in one denoiser call that was answered

 private:
  struct Job;
  void attempt(Job& job, const std::function<void()>& work);  ///< its exception becomes the job's outcome
  void advance(Job& job);                                     ///< to its end, or until the network must be asked
  void tell(Job& job, const Answer& answer);
  std::vector<Job*> next_batch();
  std::vector<Answer> answers_to(const std::vector<Job*>& batch);
  void ask(const std::vector<Job*>& batch);

  Denoiser denoiser_;
  PredictionType prediction_type_;
  int64_t max_batch_;
  int64_t most_at_once_ = 0;
  size_t added_ = 0;
  std::list<Job> jobs_;  // in the order of `add`, until their end was told
};

}  // namespace steplapse
