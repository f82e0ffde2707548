#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/bundle.h"

namespace steplapse {

/// A prompt as a text encoder takes it.
struct Tokens {
  std::vector<int64_t> ids;         ///< [length]: [bos] pieces... [eos] pad...
  std::vector<std::string> pieces;  ///< those that fitted
  std::string cut;                  ///< the end of the prompt that did not fit, as it was written; empty: all did
  int64_t unknown = 0;              ///< how many of `pieces` the tokenizer has never seen
};

/// Cuts prompts into pieces as a bundle's tokenizer does.
class Tokenizer {
 public:
  /// @param model  the bytes of the spec's file
  /// @throws BundleError  a kind that is not supported, a file that is no such model, no room for bos and eos
  Tokenizer(const Manifest::Tokenizer& spec, std::string_view model);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// @param prompt  valid UTF-8
  Tokens encode(std::string_view prompt) const;

 private:
  struct Model;
  Manifest::Tokenizer spec_;
  std::unique_ptr<Model> model_;
};

}  // namespace steplapse
