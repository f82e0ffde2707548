#pragma once

#include <cstdint>
#include <optional>

#include "sampling/fresh_noise.h"
#include "steplapse/run_log.h"

namespace steplapse {

/// Gives a branch what a log has of it, and then the noise that it begins with.
class BranchReader : public LogReader {
 public:
  /// @param last_step    after this step the log is not asked
  /// @param noise_after  the step after which the noise is added
  BranchReader(const RunLog& log, int64_t last_step, const std::optional<FreshNoise>& noise, int64_t noise_after)
      : LogReader(log, last_step), noise_(noise), noise_after_(noise_after) {}
  Verdict stepped(const Step& step) override;

 private:
  const std::optional<FreshNoise> noise_;
  const int64_t noise_after_;
};

}  // namespace steplapse
