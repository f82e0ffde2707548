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

/// CLIP's tokenizer: text in lower case, cut into words, the bytes of a word joined pair by pair.
///
/// The ids are those of transformers' CLIPTokenizer (5.23.0, on tokenizers 0.23.3) with the same vocabulary and merges,
/// for every text of characters that ICU knows. tokenizers goes by three Unicode versions: it composes accents as 9.0
/// does, and so do we; what is a letter or a number it has from 16.0, lower case from 17.0, and here both are ICU's.
/// With ICU 72, of 15.0, 5032 of the characters that came later get other ids: 5004 letters and numbers count as
/// symbols, 55 (27 of these among them) have no lower case.
///
/// bos, eos and pad are tokens wherever a prompt spells them exactly as the vocabulary does, before anything else is
/// looked at: with the pad "!", as in Stable Diffusion 2, each "!" is one. So it is in transformers where these are
/// declared not to be normalised, as they are when nothing is said; otherwise upper case would do, too.
///
/// Source: byte-pair encoding of Sennrich et al. 2016 (arXiv:1508.07909), algorithm 1, over bytes.
class ClipBpe {
 public:
  /// @param files  the bytes of spec.files: vocab.json, an object of tokens and their ids, among them each byte on its
  ///               own and as the end of a word ("</w>"); merges.txt, a pair of tokens a line, the first joined first
  /// @throws BundleError  one line: file, line, what was found, what was wanted
  ClipBpe(const Manifest::Tokenizer& spec, const std::vector<std::string>& files);

  /// Without bos, eos and padding. A word of n bytes takes n log n.
  std::vector<Piece> pieces(std::string_view text) const;

 private:
  using Token = uint32_t;  // index of tokens_
  struct Spelled {
    std::string text;
    int64_t id;
  };
  struct Merge {
    Token left, right, joined;
    size_t line;  // of merges.txt: the first is joined first
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
  std::vector<Merge> merges_;                  // by left, then right
  std::vector<Spelled> special_;               // bos, eos, pad
  std::array<Token, 256> bytes_, last_bytes_;  // the last of a word has tokens of its own
};

}  // namespace steplapse
