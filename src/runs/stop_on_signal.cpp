#include "runs/stop_on_signal.h"

#include "base/signals.h"

namespace steplapse {

Verdict StopOnSignal::stepped(const Step& step) {
  const int signal = noted_signal();
  if (signal == 0 || step.level == last_ || step.number < logged_steps_) return {};
  has_stopped_ = true;
  return {.stop = true, .reason = name_of_signal(signal)};
}

}  // namespace steplapse
