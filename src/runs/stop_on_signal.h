#pragma once

#include "steplapse/engine.h"

namespace steplapse {

/// Ends a run after the step in which a signal was noted, but for its last one.
class StopOnSignal : public Watcher {
 public:
  /// @param logged_steps  that the run had before: it does not end before the last of them
  StopOnSignal(NoiseLevel last, int64_t logged_steps) : last_(last), logged_steps_(logged_steps) {}
  Verdict stepped(const Step& step) override;
  bool has_stopped() const { return has_stopped_; }

 private:
  NoiseLevel last_;
  int64_t logged_steps_;
  bool has_stopped_ = false;
};

}  // namespace steplapse
