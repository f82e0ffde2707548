#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "runs/task.h"
#include "steplapse/engine.h"

namespace steplapse {

/// Where a run would have stopped, and what that would have changed.
struct WouldStop {
  double threshold = 0;
  std::optional<int64_t> step = {};  ///< none: nowhere before its end
  int64_t steps = 0;                 ///< that the run made
  int64_t denoiser_calls_saved = 0;  ///< by stopping there
  double psnr = 0;                   ///< of that step's x0 to the final picture, in dB; infinite for equal pictures
};

nlohmann::ordered_json would_stop_json(const WouldStop& found);
std::string would_stop_line(const WouldStop& found);  ///< for people

/// Finds the step at which x0 has settled, and ends the run there, or only remembers it. x0 has settled once it changed
/// less than a threshold in each of kStepsInARow steps: the root of the mean square of x0 minus the last step's x0, as a
/// share of the rms that the model's clean latents have. docs/sampling.md has the measurements behind the constants.
///
/// It looks at x0, since the latents of a sampler that adds noise never settle; and at latents, since decoding a picture
/// can cost as much as a step, and says nearly the same.
class StopWhenConverged : public Watcher {
 public:
  static constexpr double kUsualThreshold = 0.02;
  static constexpr int64_t kStepsInARow = 3;

  /// At high noise x0 changes little because the network has little to go by. So two thirds of the steps are made in any
  /// case, and one more than kStepsInARow; of a sampler that chooses its own steps only these.
  static int64_t least_steps(const std::optional<int64_t>& planned_steps);

  /// @param x0_rms  of the model's clean latents
  StopWhenConverged(const Task& task, double x0_rms);

  void answered(const Question& question, const Answer& answer) override;
  Verdict stepped(const Step& step) override;

  struct Settled {
    int64_t step;
    int64_t calls;  ///< of the network up to then
    Tensor x0;
  };
  const std::optional<Settled>& settled() const { return settled_; }  ///< none: not before the last step

 private:
  bool has_settled(const Step& step);

  const std::optional<double> threshold_;  // none: it does nothing
  const bool ends_run_;
  const double x0_rms_;
  const NoiseLevel last_;
  const int64_t least_steps_;
  Tensor x0_;  // of the step before
  int64_t calls_ = 0, steps_in_a_row_ = 0;
  std::optional<Settled> settled_;
};

}  // namespace steplapse
