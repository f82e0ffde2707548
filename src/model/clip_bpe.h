#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer.h"
#include "steplapse/manifest.h"

namespace steplapse {

/// CLIP's tokenizer. It puts text into lower case, splits it into words, and joins the bytes of each word pair by pair.
///
/// The ids are those of transformers' CLIPTokenizer (5.23.0, with tokenizers 0.23.3) with the same vocabulary and
/// merges, for every text of characters that ICU knows. tokenizers uses three Unicode versions: 9.0 to compose accents,
/// as this class does; 16.0 for letters and numbers, and 17.0 for lower case, where this class uses ICU's version. With
/// ICU 72 (Unicode 15.0), 5032 newer characters get other ids: 5004 letters and numbers count as symbols, and 55
/// characters (27 of them among the 5004) have no lower case.
///
/// Where a prompt spells bos, eos or pad exactly as the vocabulary does, this is that token, before any other rule
/// applies: with the pad "!" of Stable Diffusion 2, each "!" is a pad. transformers does so where these tokens are
/// declared not to be normalised, which is its default; otherwise it also takes them in upper case.
///
/// Source: byte-pair encoding of Sennrich et al. 2016 (arXiv:1508.07909), algorithm 1, over bytes.
class ClipBpe {
 public:
  /// @param files  the bytes of spec.files. vocab.json is an object of tokens and their ids; it has each byte alone and
  ///               each byte as the end of a word ("</w>"). merges.txt has a pair of tokens per line; the first line is
  ///               joined first.
  /// @throws BundleError  naming the file, the line, what was found and what was expected
  ClipBpe(const Manifest::Tokenizer& spec, const std::vector<std::string>& files);

  /// The tokens of a text, without bos, eos and padding. A word of n bytes takes O(n log n) time.
  std::vector<Piece> pieces(std::string_view text) const;

 private:
  using Token = uint32_t;  // an index of tokens_
  struct Spelled {
    std::string text;
    int64_t id;
  };
  struct Merge {
    Token left, right, joined;
    size_t line;  // in merges.txt, from 1
  };
  struct Vocabulary;
  struct Character;

  void read_bytes(const Vocabulary& vocabulary);
  void read_merges(const Vocabulary& vocabulary, const std::string& file, const std::string& content);
  void read_special(const Manifest::Tokenizer& spec);

  const Merge* find_merge(Token left, Token right) const;
  const Spelled* special_at(std::string_view text) const;
  void append_words(std::string_view text, size_t begin, std::vector<Piece>& pieces) const;
  void append_word(std::span<const Character> word, std::vector<Piece>& pieces) const;

  std::vector<Spelled> tokens_;
  std::vector<Merge> merges_;                  // sorted by left, then right
  std::vector<Spelled> special_;               // bos, eos, pad
  std::array<Token, 256> bytes_, last_bytes_;  // last_bytes_: the tokens of a byte that ends its word
};

}  // namespace steplapse
