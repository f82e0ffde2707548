#pragma once

#include <cstdint>
#include <map>

#include "plan/plan.h"

namespace steplapse {

/// Puts both prompts into the plan, as they are written and taken apart, with the warnings about their syntax.
/// @throws UsageError  a prompt that is too long or no text
void plan_prompts(const Settings& settings, Plan& plan);

/// The prompts of a run that was made, taken apart.
PromptRequest prompts_of(const Facts& facts);

/// The same of each part of a run, by the first step that it holds for. A run that is no branch has one part.
std::map<int64_t, PromptRequest> prompts_by_steps(const Facts& facts);

}  // namespace steplapse
