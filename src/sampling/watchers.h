#pragma once

#include <vector>

#include "steplapse/engine.h"

namespace steplapse {

/// Several watchers of one trajectory, as one. Each must outlive it.
///
/// - `recall`: the answer of the first that has one.
/// - `answered`, `decided`: all are told, in order.
/// - `stepped`: all are asked; the run ends where any says so. Two that change the latents at the same step are
///   std::logic_error: which change holds would hang on their order.
class Watchers : public Watcher {
 public:
  void add(Watcher& watcher) { watchers_.push_back(&watcher); }

  std::optional<Answer> recall(const Question& question) override;
  void answered(const Question& question, const Answer& answer) override;
  Verdict stepped(const Step& step) override;
  void decided(const Step& step, const Verdict& verdict) override;

 private:
  std::vector<Watcher*> watchers_;
};

}  // namespace steplapse
