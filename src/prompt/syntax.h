#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/prompt_syntax.h"

namespace steplapse {

/// Consecutive words of a prompt with one weight.
struct PromptPart {
  std::string text;  ///< without brackets, weights and BREAK
  double weight = 1;
  size_t begin = 0;           ///< the byte of the prompt where it starts
  bool starts_chunk = false;  ///< whether BREAK stands before it
  bool operator==(const PromptPart&) const = default;
};

struct ParsedPrompt {
  std::vector<PromptPart> parts;  ///< at least one; neighbours differ in weight or have a BREAK between them
  std::vector<std::string> warnings;
};

/// Parses the syntax of a prompt. (word) has the weight 1.1, [word] 1 / 1.1, and (word:1.4) the weight given; each is
/// multiplied by the weights around it. BREAK starts a chunk. A backslash makes the next character text. A bracket
/// without its partner is text, with a warning.
///
/// @param prompt  valid UTF-8
/// @param place   names the prompt in messages: "PROMPT"
/// @throws UsageError  a weight that is no number or beyond 100, prompt editing, alternating words, or brackets nested
///                     more than 100 deep; the text names the column
///
/// Source: the syntax of AUTOMATIC1111's web UI (parse_prompt_attention); docs/prompts.md has the differences.
ParsedPrompt parse_syntax(std::string_view prompt, PromptSyntax syntax, const std::string& place);

/// The words alone, with a space for each BREAK.
std::string text_of(const std::vector<PromptPart>& parts);

}  // namespace steplapse
