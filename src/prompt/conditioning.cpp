#include "prompt/conditioning.h"

#include <algorithm>

#include "base/aten.h"
#include "base/text.h"
#include "model/bundle_folder.h"

namespace steplapse {
namespace {

std::string chunks_text(const Manifest::Tokenizer& spec, int64_t max_chunks) {
  return counted(max_chunks, "chunk") + " of " + counted(spec.length, "token");
}

/// Adds a warning unless it is there already: several tokenizers may give it.
void add_once(std::vector<std::string>& warnings, const std::string& warning) {
  if (std::find(warnings.begin(), warnings.end(), warning) == warnings.end()) warnings.push_back(warning);
}

/// The chunks of one prompt, for each tokenizer.
std::vector<std::vector<Chunk>> tokenized(const std::vector<Tokenizer>& tokenizers, int64_t max_chunks,
                                          const std::string& what, const std::vector<PromptPart>& prompt,
                                          std::vector<std::string>& warnings) {
  std::vector<std::vector<Chunk>> all;
  for (const Tokenizer& tokenizer : tokenizers) {
    ChunkedPrompt chunks = chunked(tokenizer, prompt, max_chunks);
    const std::string room = chunks_text(tokenizer.spec(), max_chunks);
    if (chunks.break_ignored) {
      add_once(warnings,
               "the " + what + " has a BREAK beyond the model's " + room + "; the words after it go on in the last");
    }
    if (!chunks.dropped_words.empty()) {
      add_once(warnings, "the " + what + " is longer than the model's " +
                             (max_chunks == 1 ? counted(tokenizer.spec().length, "token") : room) +
                             "; left out: " + in_quotes(chunks.dropped_words));
    }
    all.push_back(std::move(chunks.chunks));
  }
  return all;
}

/// Pads all prompts to the length of the longest, so that they can share a denoiser call.
void pad_with_empty_chunks(TokenizedPrompts& prompts) {
  size_t most = 0;
  for (const auto* branch : {&prompts.prompt, &prompts.negative}) {
    for (const auto& chunks : *branch) most = std::max(most, chunks.size());
  }
  for (auto* branch : {&prompts.prompt, &prompts.negative}) {
    for (auto& chunks : *branch) chunks.resize(most);
  }
}

std::vector<Tensor> encoded(const Bundle& bundle, const std::vector<std::vector<Chunk>>& prompt) {
  const std::vector<Manifest::Tokenizer>& specs = bundle.manifest().tokenizers;
  std::vector<Tensor> ids, weights;
  for (size_t i = 0; i < specs.size(); ++i) {
    ids.push_back(ids_tensor(specs[i], prompt.at(i)));
    weights.push_back(weights_tensor(specs[i], prompt.at(i)));
  }
  return bundle.encode_text(ids, weights);
}

}  // namespace

std::vector<std::string> unknown_warnings(const std::vector<TaughtPrompt>& taught, const PromptRequest& request) {
  std::vector<std::string> warnings;
  const auto check = [&](const std::vector<PromptPart>& prompt, const char* which) {
    if (const auto warning = unknown_warning(taught, text_of(prompt), which)) warnings.push_back(*warning);
  };
  check(request.prompt, "");
  if (request.is_guided) check(request.negative, "the negative prompt ");
  return warnings;
}

TokenizedPrompts tokenize_prompts(const Manifest& manifest, const std::vector<Tokenizer>& tokenizers,
                                  const PromptRequest& request) {
  TokenizedPrompts prompts;
  prompts.prompt = tokenized(tokenizers, manifest.max_chunks, "prompt", request.prompt, prompts.warnings);
  const bool zeros = !request.has_negative && manifest.no_negative_prompt == NoNegativePrompt::zeros;
  if (request.is_guided && !zeros) {
    prompts.negative =
        tokenized(tokenizers, manifest.max_chunks, "negative prompt", request.negative, prompts.warnings);
  }
  pad_with_empty_chunks(prompts);
  return prompts;
}

EncodedPrompts encode_prompts(const Bundle& bundle, const PromptRequest& request) {
  TokenizedPrompts prompts = tokenize_prompts(bundle.manifest(), bundle.folder().tokenizers(), request);

  Guidance guidance{.cond = encoded(bundle, prompts.prompt), .uncond = {}, .rule = {}};
  if (!prompts.negative.empty()) {
    guidance.uncond = encoded(bundle, prompts.negative);
  } else if (request.is_guided) {
    for (const Tensor& cond : guidance.cond) guidance.uncond.push_back(at::zeros_like(cond));
  }
  return {std::move(guidance), std::move(prompts.warnings)};
}

}  // namespace steplapse
