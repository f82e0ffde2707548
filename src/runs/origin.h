#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "plan/plan.h"
#include "record/origin.h"
#include "runs/task.h"
#include "steplapse/bundle.h"

namespace steplapse {

/// What would make steps with this bundle now.
Machine this_machine(const Bundle& bundle);

/// Where the runs of a command come from. @param runs  that it makes
Origin origin_here(const Bundle& bundle, int64_t runs, const std::optional<int64_t>& max_batch);

/// The same for one of them, which begins now.
Origin origin_of(const Task& task, Origin of_the_command);

/// Both prompts, with the tokens that the network is told.
std::vector<PromptText> prompt_texts(const Bundle& bundle, const Plan& plan);

}  // namespace steplapse
