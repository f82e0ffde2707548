#pragma once

#include <cstdint>
#include <optional>

#include "steplapse/engine.h"

namespace steplapse {

/// Ends a run after a step that the user chose, but for its last one.
class StopAt : public Watcher {
 public:
  /// @param step  none: nowhere
  StopAt(const std::optional<int64_t>& step, NoiseLevel last) : step_(step), last_(last) {}
  Verdict stepped(const Step& step) override {
    if (step.number != step_ || step.level == last_) return {};
    return {.stop = true, .reason = "stop_at " + std::to_string(*step_)};
  }

 private:
  std::optional<int64_t> step_;
  NoiseLevel last_;
};

}  // namespace steplapse
