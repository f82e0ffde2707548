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

/// What the network is to be told, taken apart. Requests that are equal have equal conditioning.
struct PromptRequest {
  std::vector<PromptPart> prompt;
  std::vector<PromptPart> negative;  ///< of "" where there is none
  bool has_negative = false;         ///< none is not the same as "": see Manifest::no_negative_prompt
  bool is_guided = true;             ///< else the network is not asked about the negative prompt
  bool operator==(const PromptRequest&) const = default;
};

/// Warnings about prompts of which the model was taught no word, as unknown_warning() has them; about the negative prompt
/// only where the network is asked about it.
std::vector<std::string> unknown_warnings(const std::vector<TaughtPrompt>& taught, const PromptRequest& request);

/// Both branches as the tokenizers cut them: all tokenizers of both have as many chunks, the last ones perhaps empty.
struct TokenizedPrompts {
  std::vector<std::vector<Chunk>> prompt;    ///< one per tokenizer
  std::vector<std::vector<Chunk>> negative;  ///< none where the network is not asked, or gets zeros
  std::vector<std::string> warnings;         ///< about words that the network does not get
};
TokenizedPrompts tokenize_prompts(const Manifest& manifest, const std::vector<Tokenizer>& tokenizers,
                                  const PromptRequest& request);

/// The text as the network gets it, for both branches, and warnings about what it did not get.
struct EncodedPrompts {
  Guidance guidance;  ///< whose rule is the default one
  std::vector<std::string> warnings;
};
EncodedPrompts encode_prompts(const Bundle& bundle, const PromptRequest& request);

}  // namespace steplapse
