#include "sampling/watchers.h"

#include <stdexcept>
#include <string>

namespace steplapse {

std::optional<Answer> Watchers::recall(const Question& question) {
  for (Watcher* watcher : watchers_) {
    if (auto answer = watcher->recall(question)) return answer;
  }
  return std::nullopt;
}

void Watchers::answered(const Question& question, const Answer& answer) {
  for (Watcher* watcher : watchers_) watcher->answered(question, answer);
}

Verdict Watchers::stepped(const Step& step) {
  Verdict together;
  for (Watcher* watcher : watchers_) {
    Verdict one = watcher->stepped(step);
    if (one.x.defined() && together.x.defined()) {
      throw std::logic_error("step " + std::to_string(step.number) + ": two watchers change the latents");
    }
    if (one.x.defined()) together.x = one.x;
    together.stop = together.stop || one.stop;
    if (together.reason.empty()) together.reason = one.reason;
  }
  return together;
}

void Watchers::decided(const Step& step, const Verdict& verdict) {
  for (Watcher* watcher : watchers_) watcher->decided(step, verdict);
}

}  // namespace steplapse
