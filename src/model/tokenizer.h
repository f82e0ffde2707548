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
  std::string text;      ///< as the vocabulary spells it: "cat</w>", "▁cat"
  size_t begin;          ///< the byte of the prompt where it starts; inside a character, that character's first
  bool unknown = false;  ///< the tokenizer has never seen it
};

/// Cuts prompts into pieces as a bundle's tokenizer does: the ids of kind `sentencepiece` are those of that library, of
/// kind `clip_bpe` those of transformers' CLIPTokenizer (5.23.0; clip_bpe.h says where Unicode's age matters).
class Tokenizer {
 public:
  /// @param files  the bytes of spec.files, in their order
  /// @throws BundleError  the wrong number of files, or one that is no such model
  Tokenizer(const Manifest::Tokenizer& spec, const std::vector<std::string>& files);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Without bos, eos and padding, however long.
  /// @param text  valid UTF-8
  std::vector<Piece> pieces(std::string_view text) const;

  const Manifest::Tokenizer& spec() const { return spec_; }

 private:
  struct Model;
  Manifest::Tokenizer spec_;
  std::unique_ptr<Model> model_;
};

}  // namespace steplapse
