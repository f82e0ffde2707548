#include "record/history.h"

#include <utility>

#include "base/aten.h"

namespace steplapse {
namespace {

/// Keeps what it is told.
class Historian : public Watcher {
 public:
  explicit Historian(std::vector<HistoryStep>& steps) : steps_(steps) {}

  void answered(const Question& question, const Answer& answer) override {
    questions_.push_back(question);
    answers_.push_back(answer);
  }
  void decided(const Step& step, const Verdict& verdict) override {
    steps_.push_back({step, std::exchange(questions_, {}), std::exchange(answers_, {})});
    if (verdict.x.defined()) steps_.back().step.x = verdict.x;
  }

 private:
  std::vector<HistoryStep>& steps_;
  std::vector<Question> questions_;
  std::vector<Answer> answers_;
};

}  // namespace

Tensor History::last_estimate() const {
  if (latents.defined()) return latents;
  return steps.empty() ? start : steps.back().step.x0;
}

History history_of(const RunLog& log) {
  History history;
  history.recipe = log.recipe();
  history.start = history.recipe.init_noise * history.recipe.schedule.init_scale;
  Historian historian(history.steps);
  history.latents = refeed(log, historian).latents;
  return history;
}

Prediction guided_prediction(const Recipe& recipe, const HistoryStep& step) {
  const Answer& answer = step.answers.front();
  if (answer.cond.defined() && answer.uncond.defined())
    return branch_prediction(recipe, step,
                             guidance_rule(recipe, step.step.number).combined(answer.cond, answer.uncond));
  return branch_prediction(recipe, step, answer.cond.defined() ? answer.cond : answer.uncond);
}

Prediction branch_prediction(const Recipe& recipe, const HistoryStep& step, const Tensor& output) {
  return prediction_of(recipe.prediction_type, step.questions.front().x, output, step.level());
}

}  // namespace steplapse
