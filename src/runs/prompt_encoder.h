#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "prompt/conditioning.h"
#include "record/facts.h"
#include "steplapse/bundle.h"
#include "steplapse/engine.h"

namespace steplapse {

/// Encodes the prompts of runs. It keeps the last ones, so that runs of several seeds, and branches, encode each once.
class PromptEncoder {
 public:
  explicit PromptEncoder(const Bundle& bundle) : bundle_(bundle) {}

  /// What the network is told at each step of a run. A branch is first told what the run before it was told.
  GuidanceBySteps guidance_of(const Facts& facts);

  /// Of the last run: words that were dropped, and those that the model was taught none of.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  const EncodedPrompts& encoded(const PromptRequest& prompts);

  const Bundle& bundle_;
  std::vector<std::pair<PromptRequest, EncodedPrompts>> kept_;
  std::vector<std::string> warnings_;
};

}  // namespace steplapse
