#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/manifest.h"

namespace steplapse {

/// A token of a prompt.
struct Piece {
  int64_t id;
  std::string text;      ///< the vocabulary's spelling: "cat</w>", "▁cat"
  size_t begin;          ///< the byte of the prompt where it starts, or where the character starts that it is part of
  bool unknown = false;  ///< whether it stands for text that the vocabulary lacks
};

/// Splits prompts into pieces as a bundle's tokenizer does. The ids of kind `sentencepiece` are those of that library;
/// the ids of kind `clip_bpe` are those of transformers' CLIPTokenizer (5.23.0; clip_bpe.h has the exceptions).
class Tokenizer {
 public:
  /// @param files  the bytes of spec.files, in their order
  /// @throws BundleError  a wrong number of files, or a file that is no model of this kind
  Tokenizer(const Manifest::Tokenizer& spec, const std::vector<std::string>& files);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// All pieces of a text, without bos, eos and padding.
  /// @param text  valid UTF-8
  std::vector<Piece> pieces(std::string_view text) const;

  const Manifest::Tokenizer& spec() const { return spec_; }

 private:
  struct Model;
  Manifest::Tokenizer spec_;
  std::unique_ptr<Model> model_;
};

}  // namespace steplapse
