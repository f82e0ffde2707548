#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/prompt_syntax.h"

namespace steplapse {

/// A run of a prompt's words with one weight.
struct PromptPart {
  std::string text;  ///< without the syntax
  double weight = 1;
  size_t begin = 0;           ///< the byte of the prompt where it starts
  bool starts_chunk = false;  ///< BREAK stands before it
  bool operator==(const PromptPart&) const = default;
};

struct ParsedPrompt {
  std::vector<PromptPart> parts;  ///< at least one; neighbours differ in weight, or have a BREAK between
  std::vector<std::string> warnings;
};

/// Takes a prompt apart: (word) weighs 1.1, [word] 1 / 1.1, (word:1.4) as it says, each times what is around it; BREAK
/// starts a chunk; a backslash makes a character text. A bracket without its partner is text, with a warning.
///
/// @param prompt  valid UTF-8
/// @param place   what the text is called in messages: "PROMPT"
/// @throws UsageError  one line with the column: a weight that is no number or beyond 100, prompt editing and
///                     alternating words, brackets more than 100 deep.
///
/// Source: the syntax of AUTOMATIC1111's web UI (parse_prompt_attention); docs/prompts.md has the differences.
ParsedPrompt parse_syntax(std::string_view prompt, PromptSyntax syntax, const std::string& place);

/// The words alone, with a space for each BREAK.
std::string text_of(const std::vector<PromptPart>& parts);

}  // namespace steplapse
