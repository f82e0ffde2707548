#include <nlohmann/json.hpp>

#include "model/tokenizer.h"
#include "reader_targets.h"
#include "seeds.h"
#include "support/normalization_table.h"
#include "support/sentencepiece_model.h"

namespace steplapse::fuzz {
namespace {

using namespace test_support;

void tokenize(const Manifest::Tokenizer& spec, const std::vector<std::string>& files) {
  const Tokenizer tokenizer(spec, files);
  for (const std::string& text :
       {std::string("red apple pies é AB \u2028 ﬁ"), std::string("A\0ABAB\xf0\x9f\x8d\x8e", 10), std::string(2000, 'A'),
        std::string("<|endoftext|> it's 12")})
    tokenizer.pieces(text);
}

/// A small model, with one of its parts changed: pieces, table, texts of the table, all of it.
std::string sentencepiece_mutant(Mutator& mutator) {
  std::string pieces = kModel, units = small_table_units(), texts = small_table_texts(), spec;
  switch (mutator.below(5)) {
    case 0: pieces = mutator.bytes(pieces, pieces); break;
    case 1: texts = mutator.bytes(texts, units); break;
    case 2: spec = mutator.bytes("\x18\x01\x20\x01\x28\x01", pieces); break;  // the normalizer's switches
    case 3: pieces += piece(mutator.bytes("<0x41>", "ab"), 1, static_cast<char>(mutator.below(8))); break;
    default:
      for (size_t n = 1 + mutator.below(8); n > 0; --n) {  // in the part that is used, most of the time
        const size_t unit = 4 * (mutator.one_in(3) ? mutator.below(256) : mutator.one_of(small_table_places()));
        const auto value = static_cast<uint32_t>(mutator.number());
        if (mutator.one_in(2)) {
          std::memcpy(units.data() + unit, &value, 4);
        } else {
          units[unit + mutator.below(4)] ^= static_cast<char>(1 << mutator.below(8));
        }
      }
  }
  const std::string all = pieces + normalizer_of(units, texts, spec);
  return mutator.one_in(6) ? mutator.bytes(all, all) : all;
}

}  // namespace

Target sentencepiece_target() {
  const Manifest::Tokenizer spec{TokenizerKind::sentencepiece, {"tokenizer.model"}, 16, 1, 2, 0};
  return {[=, ours = of_our_model("tokenizer.model")](Mutator& mutator) {
    tokenize(spec, {mutator.one_in(50) ? mutator.bytes(ours, ours) : sentencepiece_mutant(mutator)});
  }};
}

namespace {

/// Every byte alone and at the end of a word, as CLIP's vocabulary has them.
std::pair<std::string, std::string> clip_seed() {
  nlohmann::ordered_json vocabulary;
  const auto add = [&](const std::string& token) { vocabulary[token] = vocabulary.size(); };
  const auto spelled = [](int code) {
    return code < 0x80 ? std::string(1, static_cast<char>(code))
                       : std::string{static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
  };
  int others = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printed = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const std::string token = spelled(printed ? byte : 0x100 + others);
    others += printed ? 0 : 1;
    add(token);
    add(token + "</w>");
  }
  for (const char* token : {"re", "red</w>", "ap", "app", "le</w>", "<|startoftext|>", "<|endoftext|>"}) add(token);
  return {vocabulary.dump(), "#version: 0.2\nr e\nre d</w>\na p\nap p\nl e</w>\n"};
}

}  // namespace

Target clip_bpe_target() {
  const Manifest::Tokenizer spec{TokenizerKind::clip_bpe, {"vocab.json", "merges.txt"}, 16, 517, 518, 0};
  return {[=, seed = clip_seed()](Mutator& mutator) {
    auto [vocabulary, merges] = seed;
    std::string& changed = mutator.one_in(2) ? vocabulary : merges;
    const std::vector<std::string> words{"\"a\"", "{", "[", "null", "1e999", "</w>", "\\ud800", "a p", "#version"};
    changed = mutator.one_in(2) ? mutator.bytes(changed, vocabulary) : mutator.text(changed, words);
    tokenize(spec, {vocabulary, merges});
  }};
}

}  // namespace steplapse::fuzz
