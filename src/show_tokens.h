#pragma once

#include <filesystem>

#include "steplapse/plan.h"

namespace steplapse {

/// What `steplapse tokens` was asked.
struct TokensOptions {
  Settings settings;
  std::filesystem::path model;
  bool json = false;
  std::filesystem::path embeddings;  ///< a safetensors file to write; empty: none
  bool overwrite = false;
};

/// Prints what the network is given in place of the words: ids, pieces and weights, chunk by chunk, for each tokenizer;
/// warnings go to stderr. With `embeddings` the text encoder's answers go into that file, for both branches. Else only
/// the manifest, the tokenizers and the list of taught prompts are read.
/// @throws UsageError, BundleError, OutputError
void show_tokens(const TokensOptions& options);

}  // namespace steplapse
