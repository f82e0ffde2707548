#pragma once

#include "steplapse/engine.h"

namespace steplapse {

/// Ends a run after the step in which a signal was noted, but for its last one.
class StopOnSignal : public Watcher {
 public:
  explicit StopOnSignal(NoiseLevel last) : last_(last) {}
  Verdict stepped(const Step& step) override;
  bool has_stopped() const { return has_stopped_; }

 private:
  NoiseLevel last_;
  bool has_stopped_ = false;
};

}  // namespace steplapse
