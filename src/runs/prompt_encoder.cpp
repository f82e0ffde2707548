#include "runs/prompt_encoder.h"

#include <algorithm>

#include "model/bundle_folder.h"
#include "plan/plan_prompts.h"

namespace steplapse {

GuidanceBySteps PromptEncoder::guidance_of(const Facts& facts) {
  warnings_.clear();
  GuidanceBySteps guidance;
  for (const auto& [first_step, prompts] : prompts_by_steps(facts)) {
    const EncodedPrompts& found = encoded(prompts);
    guidance[first_step] = found.guidance;
    warnings_.insert(warnings_.end(), found.warnings.begin(), found.warnings.end());
  }
  for (const auto& [first_step, rule] : guidance_rules(facts.recipe)) guidance.at(first_step).rule = rule;
  return guidance;
}

const EncodedPrompts& PromptEncoder::encoded(const PromptRequest& prompts) {
  constexpr size_t kMost = 4;  // a branch and those before it
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const auto& kept) { return kept.first == prompts; });
  if (found != kept_.end()) return found->second;
  EncodedPrompts fresh = encode_prompts(bundle_, prompts);
  if (bundle_.manifest().prompts) {
    const auto unknown = unknown_warnings(bundle_.folder().taught_prompts(), prompts);
    fresh.warnings.insert(fresh.warnings.begin(), unknown.begin(), unknown.end());
  }
  if (kept_.size() == kMost) kept_.erase(kept_.begin());
  kept_.emplace_back(prompts, std::move(fresh));
  return kept_.back().second;
}

}  // namespace steplapse
