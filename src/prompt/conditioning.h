#pragma once

#include <string>
#include <vector>

#include "model/taught_prompts.h"
#include "model/tokenizer.h"
#include "prompt/chunks.h"
#include "prompt/syntax.h"
#include "steplapse/bundle.h"
#include "steplapse/engine.h"

namespace steplapse {

/// The prompts to encode. Equal requests have equal conditioning.
struct PromptRequest {
  std::vector<PromptPart> prompt;
  std::vector<PromptPart> negative;  ///< the parts of "" where there is no negative prompt
  bool has_negative = false;         ///< none may differ from "": see Manifest::no_negative_prompt
  bool is_guided = true;             ///< whether the network is asked about the negative prompt
  bool operator==(const PromptRequest&) const = default;
};

/// Warnings about prompts of which the model was taught no word (see unknown_warning). The negative prompt counts only
/// where the network is asked about it.
std::vector<std::string> unknown_warnings(const std::vector<TaughtPrompt>& taught, const PromptRequest& request);

/// Both prompts as chunks of tokens. All tokenizers have equally many chunks for both prompts; the last may be empty.
struct TokenizedPrompts {
  std::vector<std::vector<Chunk>> prompt;    ///< one per tokenizer
  std::vector<std::vector<Chunk>> negative;  ///< one per tokenizer; empty where the network is not asked, or gets zeros
  std::vector<std::string> warnings;         ///< about words that were dropped
};
TokenizedPrompts tokenize_prompts(const Manifest& manifest, const std::vector<Tokenizer>& tokenizers,
                                  const PromptRequest& request);

/// Both prompts as conditioning tensors, with warnings about words that were dropped.
struct EncodedPrompts {
  Guidance guidance;  ///< with the default rule
  std::vector<std::string> warnings;
};
EncodedPrompts encode_prompts(const Bundle& bundle, const PromptRequest& request);

}  // namespace steplapse
