#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/sampler.h"

namespace steplapse {

/// The network: latents [N, C, h, w], timesteps float32 [N] and conditioning tensors, each [N, ...], give a prediction
/// [N, C, h, w]. All are on the CPU; latents and prediction are float32. What it throws ends the trajectories that
/// asked.
using Denoiser =
    std::function<Tensor(const Tensor& latents, const Tensor& timesteps, const std::vector<Tensor>& conditioning)>;

/// Classifier-free guidance: combines the network's answer to the prompt (cond) and to the negative prompt (uncond)
/// into uncond + scale * (cond - uncond).
///
/// Guidance holds inside an interval of steps and an interval of sigma / alpha. Outside of either, and at scale 1, the
/// result is cond, and uncond is not asked. At scale 0 the result is uncond, and cond is asked only for `rescale`.
///
/// Source: Ho & Salimans 2022 (arXiv:2207.12598), eq. 6, written as in diffusers: scale = w + 1. Intervals:
/// Kynkäänniemi et al. 2024 (arXiv:2404.07724).
struct GuidanceRule {
  double scale = 1;                                             ///< 1: no guidance
  int64_t first_step = 1;                                       ///< the first guided step
  int64_t last_step = kNoLastStep;                              ///< the last guided step, included
  double sigma_low = 0;                                         ///< guided where sigma / alpha is above this
  double sigma_high = std::numeric_limits<double>::infinity();  ///< and no higher than this
  /// phi of Lin et al. 2023 (arXiv:2305.08891), eq. 15 and 16, 0 to 1: how far the result's standard deviation is moved
  /// to that of cond. 0: not at all.
  double rescale = 0;

  static constexpr int64_t kNoLastStep = std::numeric_limits<int64_t>::max();

  bool stops_early() const { return last_step != kNoLastStep; }   ///< whether guidance has a last step
  bool guides() const { return scale != 1; }                      ///< whether any step is guided
  bool asks_uncond(int64_t step, const NoiseLevel& level) const;  ///< at this step (from 1) and level
  bool asks_cond(int64_t step, const NoiseLevel& level) const;
  int64_t most_rows() const { return guides() && needs_cond() ? 2 : 1; }  ///< rows of one trajectory in a denoiser call

  /// The guided answer. All three are [1, C, h, w].
  Tensor combined(const Tensor& cond, const Tensor& uncond) const;

  bool operator==(const GuidanceRule&) const = default;

 private:
  bool needs_cond() const { return scale != 0 || rescale != 0; }  ///< in a guided step
};

/// The conditioning of one trajectory, and how the two answers are combined.
struct Guidance {
  std::vector<Tensor> cond;    ///< of the prompt, as encode_text gives it; each [1, ...]
  std::vector<Tensor> uncond;  ///< of the negative prompt, in cond's shapes; may be empty where no step is guided
  GuidanceRule rule = {};
};

/// Guidance that changes on the way: each with the first step that it holds for. The first key is 1.
using GuidanceBySteps = std::map<int64_t, Guidance>;

/// One question of one trajectory to the network.
struct Question {
  int64_t call;  ///< counts the questions of this trajectory, from 1
  int64_t step;  ///< the step that it belongs to, from 1
  NoiseLevel level;
  Tensor x;  ///< [1, C, h, w]
};

/// The network's answer before guidance.
struct Answer {
  Tensor cond, uncond;  ///< [1, C, h, w]; undefined where it was not asked; at least one is defined
  /// Of the denoiser call, divided by the number of trajectories that shared it. 0 where all of it was known from another
  /// trajectory (Engine::share_answers).
  double milliseconds = 0;
};

/// How a trajectory goes on after a step.
struct Verdict {
  bool stop = false;        ///< ends the trajectory; its result is then the step's x0
  Tensor x = {};            ///< the latents to go on with, [1, C, h, w]; undefined: unchanged
  std::string reason = {};  ///< the reason for the stop or for the new latents, for the log
};

/// Watches one trajectory. Its functions are called on the thread of Engine::run. An exception of one ends the
/// trajectory.
class Watcher {
 public:
  virtual ~Watcher() = default;
  /// @return an answer to use in place of the network's, such as a logged one; none: the network is asked
  virtual std::optional<Answer> recall(const Question&) { return std::nullopt; }
  /// Called for each answer, recalled ones too; not for one that ends the trajectory because it is not finite.
  virtual void answered(const Question&, const Answer&) {}
  virtual Verdict stepped(const Step&) { return {}; }  ///< called after each step
  /// Called with the verdict that takes effect after the step: this watcher's, or that of all watchers in a chain.
  virtual void decided(const Step&, const Verdict&) {}
};

/// How a trajectory ended.
struct Outcome {
  Tensor latents;            ///< the result, [1, C, h, w]; undefined after an error
  bool stopped = false;      ///< whether its watcher ended it
  std::exception_ptr error;  ///< the exception that ended it; null where none did
};

class AnswerCache;

/// Runs trajectories together. Their pending questions become one denoiser call, whatever their timesteps and with
/// guidance or without, as long as latents and conditioning have equal shapes. Each trajectory gets the answer that it
/// would get alone, but for the network's rounding at other batch sizes; with max_batch 1 the answer is equal to the
/// bit.
class Engine {
 public:
  /// Called when a trajectory is over, on the thread of `run`. It may `add` others. `run` passes its exception on.
  using Ended = std::function<void(size_t index, Outcome outcome)>;

  /// @param max_batch  the most trajectories in one denoiser call, 1 or more. Each takes one row, or two ([uncond,
  ///                   cond]) where it is guided.
  Engine(Denoiser denoiser, PredictionType prediction_type, int64_t max_batch = 16);
  ~Engine();

  /// Adds a trajectory to run. Its watcher, if any, must live until the trajectory is over.
  /// @return the trajectory's index; the first has 0
  size_t add(Trajectory trajectory, Guidance guidance, Watcher* watcher = nullptr);
  size_t add_by_steps(Trajectory trajectory, GuidanceBySteps guidance, Watcher* watcher = nullptr);

  /// From now on what is asked twice is asked once: each trajectory gets the answer that the first one got, where latents,
  /// timestep and conditioning are equal to the bit.
  /// @param most_bytes  what kept answers may take; those that were not asked for the longest are dropped
  /// @param by_rows     the answers to prompt and negative prompt are shared each by itself. Else only those of whole
  ///                    questions are, so that with max_batch 1 each answer stays, to the bit, what it would be alone.
  void share_answers(size_t most_bytes, bool by_rows);

  /// Runs all trajectories to their ends. An exception ends the trajectory that it belongs to; the others go on. Where
  /// a denoiser call for several trajectories does not fit into memory, max_batch is set to half their number.
  /// @param cut  is asked before each denoiser call; where it says true, the trajectories that are left stay as they are
  void run(const Ended& ended, const std::function<bool()>& cut = {});
  std::vector<Outcome> run();  ///< @return the outcomes in the order of `add`

  int64_t max_batch() const { return max_batch_; }
  void set_max_batch(int64_t max_batch) { max_batch_ = max_batch; }
  int64_t largest_batch_run() const { return largest_batch_run_; }  ///< the most trajectories in one answered call
  int64_t asked_questions() const { return asked_; }    ///< that the network answered, at least one row of each
  int64_t shared_questions() const { return shared_; }  ///< whose answers were known from other trajectories

 private:
  struct Job;
  struct Batch;
  void attempt(Job& job, const std::function<void()>& work);  ///< an exception of the work becomes the job's outcome
  void advance(Job& job);  ///< resumes it until the network must be asked, or its end
  void tell(Job& job, const Answer& answer);
  std::optional<Answer> known_answer(Job& job);  ///< where no row of it has to be asked
  void tell_what_is_known(Job& job);
  bool fits(const Batch& batch, const Job& job) const;
  Batch next_batch();
  double fill(Batch& batch);
  std::vector<Answer> answers_to(Batch& batch);
  void ask(Batch batch);

  Denoiser denoiser_;
  PredictionType prediction_type_;
  std::unique_ptr<AnswerCache> known_;  // null: nothing is shared
  bool by_rows_ = false;
  int64_t max_batch_;
  int64_t largest_batch_run_ = 0;
  int64_t asked_ = 0, shared_ = 0;
  size_t added_ = 0;
  std::list<Job> jobs_;  // in the order of `add`; a job is erased after `ended` was called for it
};

}  // namespace steplapse
