#include "runs/batch_memory.h"

#include <algorithm>

#include "base/aten.h"
#include "base/machine.h"

namespace steplapse {
namespace {

/// By a run to its end: x0 of each step (StepMeter::estimates), and about as much that waits for the log.
int64_t bytes_kept(const Recipe& recipe, const Tensor& x) {
  return 2 * static_cast<int64_t>(recipe.schedule.levels.size()) * static_cast<int64_t>(x.nbytes());
}

}  // namespace

int64_t batch_that_fits(int64_t bytes_each, int64_t bytes_left) {
  if (bytes_each <= 0) return kMostAtOnce;
  return std::clamp<int64_t>(bytes_left / 2 / bytes_each, 1, kMostAtOnce);
}

void ask_once(const Bundle& bundle, const Recipe& recipe, const Guidance& guidance, const Tensor& x) {
  const int64_t rows = guidance.rule.most_rows();
  const Tensor timesteps = at::full({rows}, *recipe.schedule.levels.front().timestep, at::kFloat);
  std::vector<Tensor> conditioning;
  for (size_t i = 0; i < guidance.cond.size(); ++i) {
    conditioning.push_back(rows == 2 ? at::cat({guidance.uncond[i], guidance.cond[i]}) : guidance.cond[i]);
  }
  bundle.denoise(x.repeat({rows, 1, 1, 1}), timesteps, conditioning);
}

int64_t batch_that_fits(const Bundle& bundle, const Recipe& recipe, const Guidance& guidance) {
  // On a GPU its allocator says when it is full, and the engine then asks with half as many.
  if (bundle.device() != "cpu") return kMostAtOnce;
  const Tensor x = recipe.init_noise * recipe.schedule.init_scale;
  const int64_t bytes = memory_taken_by([&] { ask_once(bundle, recipe, guidance, x); }) + bytes_kept(recipe, x);
  return batch_that_fits(bytes, available_memory());
}

}  // namespace steplapse
