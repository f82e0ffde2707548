#include "studies/sweep/sweep_sharing.h"

#include <list>
#include <map>
#include <utility>

#include "base/aten.h"
#include "base/sha256.h"
#include "runs/batch_memory.h"
#include "sampling/watchers.h"
#include "steplapse/engine.h"
#include "steplapse/noise.h"

namespace steplapse {
namespace {

const std::vector<int64_t> kMadeUpShape{1, 1, 8, 8};
constexpr size_t kMadeUpBytes = size_t{1} << 30;  // of kept answers, of 256 bytes each

template <typename Value>
void append_bytes(std::string& key, const Value& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// A network that answers other latents, other timesteps and other prompts otherwise.
Tensor made_up_answer(const Tensor& x, const Tensor& timesteps, const std::vector<Tensor>& told) {
  const Tensor place = (0.37 * timesteps + 1.7 * told.front().flatten()).view({-1, 1, 1, 1});
  return at::sin(1.3 * x + place);
}

class StopAfter : public Watcher {
 public:
  explicit StopAfter(std::optional<int64_t> step) : step_(step) {}
  Verdict stepped(const Step& step) override { return {.stop = step_ && step.number >= *step_}; }
  void answered(const Question& /*question*/, const Answer& answer) override { asked_ += answer.milliseconds != 0; }
  int64_t asked() const { return asked_; }

 private:
  std::optional<int64_t> step_;
  int64_t asked_ = 0;
};

/// The cells in an engine, as many at once as a batch of runs has.
class MadeUpRuns {
 public:
  MadeUpRuns(const std::vector<AskingCell>& cells, bool by_rows)
      : cells_(cells),
        engine_([this](const auto&... question) { return answer(question...); }, cells.front().recipe.prediction_type,
                kMostAtOnce) {
    engine_.share_answers(kMadeUpBytes, by_rows);
  }

  Asked run() {
    for (int64_t i = 0; i < kMostAtOnce; ++i) add_next();
    engine_.run([this](size_t, const Outcome& outcome) {
      if (outcome.error) std::rethrow_exception(outcome.error);
      add_next();
    });
    for (const StopAfter& watcher : watchers_) asked_.calls += watcher.asked();
    return asked_;
  }

 private:
  Tensor answer(const Tensor& x, const Tensor& timesteps, const std::vector<Tensor>& told) {
    asked_.rows += x.size(0);
    return made_up_answer(x, timesteps, told);
  }

  std::vector<Tensor> told(const std::string& prompt) {
    const auto number = numbers_.emplace(prompt, static_cast<double>(numbers_.size())).first->second;
    return {at::full({1, 1}, number, at::kFloat)};
  }

  void add_next() {
    if (next_ == cells_.size()) return;
    const AskingCell& cell = cells_[next_++];
    Recipe recipe = cell.recipe;
    recipe.rng = Rng::cpu;
    recipe.seed = 0;
    recipe.init_noise = Noise(recipe.rng, recipe.seed).draw(kMadeUpShape);
    watchers_.emplace_back(cell.stop_at);
    engine_.add(start(recipe), {told("+" + cell.prompt), told("-" + cell.negative), recipe.guidance},
                &watchers_.back());
  }

  const std::vector<AskingCell>& cells_;
  size_t next_ = 0;
  std::map<std::string, double> numbers_;  // of prompts
  std::list<StopAfter> watchers_;
  Asked asked_;
  Engine engine_;
};

std::string key_of_parts(const std::vector<PromptPart>& parts) {
  std::string key;
  for (const PromptPart& part : parts) {
    key += part.text;
    key += '\0';
    append_bytes(key, part.weight);
    key += part.starts_chunk ? '|' : ' ';
  }
  return key;
}

}  // namespace

Asked asked_together(const std::vector<AskingCell>& cells, bool by_rows) {
  return cells.empty() ? Asked{} : MadeUpRuns(cells, by_rows).run();
}

std::string trajectory_key(const Recipe& recipe, std::optional<int64_t> stop_at) {
  std::string key = recipe.sampler + '\0';
  const SamplerOptions& options = recipe.options;
  for (const double number :
       {options.eta, options.s_churn, options.s_tmin, options.s_tmax, options.s_noise, recipe.schedule.init_scale,
        recipe.guidance.scale, recipe.guidance.sigma_low, recipe.guidance.sigma_high, recipe.guidance.rescale})
    append_bytes(key, number);
  for (const int64_t number : {recipe.guidance.first_step, recipe.guidance.last_step, stop_at.value_or(0)})
    append_bytes(key, number);
  for (const NoiseLevel& level : recipe.schedule.levels) {
    append_bytes(key, level.timestep.value_or(-1));
    append_bytes(key, level.alpha);
    append_bytes(key, level.sigma);
  }
  return sha256(key);
}

std::string prompt_key(const PromptRequest& prompts) { return key_of_parts(prompts.prompt); }

std::string negative_key(const PromptRequest& prompts) {
  return prompts.has_negative ? key_of_parts(prompts.negative) : "none";
}

}  // namespace steplapse
