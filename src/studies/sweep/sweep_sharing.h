#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace steplapse {

// What the cells of a sweep ask alike is asked once (Engine::share_answers). How often that is the engine itself says: the
// samplers are run before, on a few made-up numbers, and what they ask alike there they ask alike of the network.

/// What a cell asks, as far as it is known without the network's answers.
struct AskingCell {
  Recipe recipe;
  std::string prompt, negative;  ///< equal where the conditioning is
  std::optional<int64_t> stop_at = {};
};

struct Asked {
  int64_t calls = 0;  ///< questions
  int64_t rows = 0;   ///< answers to a prompt or a negative prompt: one or two a question
};

/// What the network is asked for these cells, in their order, when answers are shared. They begin from equal noise.
/// @param by_rows  as in Engine::share_answers
Asked asked_together(const std::vector<AskingCell>& cells, bool by_rows);

/// Equal for cells of one noise and prompt that ask the same to their ends.
std::string trajectory_key(const Recipe& recipe, std::optional<int64_t> stop_at);

/// Texts for AskingCell.
std::string prompt_key(const PromptRequest& prompts);
std::string negative_key(const PromptRequest& prompts);

}  // namespace steplapse
