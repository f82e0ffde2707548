#include "runs/branch_reader.h"

#include "base/text.h"

namespace steplapse {

Verdict BranchReader::stepped(const Step& step) {
  Verdict verdict = LogReader::stepped(step);
  if (!noise_ || step.number != noise_after_) return verdict;
  Step begun = step;
  if (verdict.x.defined()) begun.x = verdict.x;  // the run before began here with noise too
  return {.x = with_fresh_noise(begun, *noise_), .reason = "noise of " + plain(noise_->amount) + " sigma"};
}

}  // namespace steplapse
