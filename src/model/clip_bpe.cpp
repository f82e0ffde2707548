#include "model/clip_bpe.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <limits>
#include <queue>
#include <stdexcept>
#include <tuple>
#include <unordered_map>

#include "base/strict_json.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {

/// Of a character, as CLIP's and GPT-2's expressions tell them apart.
enum class CharacterKind { space, letter, number, symbol };

namespace {

using nlohmann::json;

constexpr int64_t kLargestId = std::numeric_limits<int32_t>::max();
constexpr std::string_view kWordEnd = "</w>";

// CLIP splits text by a regular expression, and ByteLevel splits each part again by GPT-2's. A word is the first of
// these that matches: one of kSpecial (in CLIP's expression only), one of kContractions, a single number, or a run of
// characters of one kind. White space only separates words.
constexpr std::string_view kSpecial[] = {"<|startoftext|>", "<|endoftext|>"};
constexpr std::string_view kContractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

CharacterKind kind_of(UChar32 character) {
  if (u_isUWhiteSpace(character)) return CharacterKind::space;
  if ((U_GET_GC_MASK(character) & U_GC_L_MASK) != 0) return CharacterKind::letter;
  if ((U_GET_GC_MASK(character) & U_GC_N_MASK) != 0) return CharacterKind::number;
  return CharacterKind::symbol;
}

std::string utf8(UChar32 character) {
  std::string bytes;
  return icu::UnicodeString(character).toUTF8String(bytes);
}

/// A byte as vocabularies spell it. Bytes that Latin-1 prints stand for themselves; the others are U+0100 and up, in
/// order. Source: GPT-2's bytes_to_unicode.
std::string spelled(int byte) {
  const auto printed = [](int b) { return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae; };
  if (printed(byte)) return utf8(byte);
  int others = 0;
  for (int b = 0; b < byte; ++b) {
    if (!printed(b)) ++others;
  }
  return utf8(0x100 + others);
}

/// NFC as of Unicode 9.0, which tokenizers uses: newer characters are neither composed nor reordered.
const icu::Normalizer2& nfc_of_unicode_9() {
  static const icu::FilteredNormalizer2 normalizer = [] {
    UErrorCode error = U_ZERO_ERROR;
    static const icu::UnicodeSet known(u"[:age=9.0:]", error);
    const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(error);
    if (U_FAILURE(error)) throw std::runtime_error(std::string("ICU has no NFC: ") + u_errorName(error));
    return icu::FilteredNormalizer2(*nfc, known);
  }();
  return normalizer;
}

}  // namespace

struct ClipBpe::Vocabulary {
  std::string file;
  std::vector<Spelled> tokens;
  std::unordered_map<std::string, Token> of_text;

  Vocabulary(std::string name, const std::string& content) : file(std::move(name)) {
    const json root = parsed(content);
    if (!root.is_object()) {
      throw BundleError(file + ": is " + shown(root) + ", expected an object of tokens and their ids");
    }
    for (const auto& [text, id] : root.items()) add(text, id);
    check_ids();
  }

  const Token* find(const std::string& text) const {
    const auto found = of_text.find(text);
    return found == of_text.end() ? nullptr : &found->second;
  }

 private:
  json parsed(const std::string& content) const {
    try {
      return parse_strict_json(content);
    } catch (const std::invalid_argument& error) {
      throw BundleError(file + ": " + error.what());
    }
  }

  void add(const std::string& text, const json& id) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > kLargestId) {
      throw BundleError(file + ": the id of " + in_quotes(text, 60) + " is " + shown(id) +
                        ", expected an integer from 0 to " + std::to_string(kLargestId));
    }
    of_text.emplace(text, static_cast<Token>(tokens.size()));
    tokens.push_back({text, id.get<int64_t>()});
  }

  void check_ids() const {
    std::vector<const Spelled*> by_id;
    for (const Spelled& token : tokens) by_id.push_back(&token);
    std::stable_sort(by_id.begin(), by_id.end(), [](auto* a, auto* b) { return a->id < b->id; });
    const auto twice = std::adjacent_find(by_id.begin(), by_id.end(), [](auto* a, auto* b) { return a->id == b->id; });
    if (twice == by_id.end()) return;
    throw BundleError(file + ": " + in_quotes(twice[0]->text, 60) + " and " + in_quotes(twice[1]->text, 60) +
                      " both have the id " + std::to_string(twice[0]->id) + ", expected one token for each id");
  }
};

/// A character after normalisation. `begin` is the byte of the prompt where the original character begins.
struct ClipBpe::Character {
  UChar32 value;
  CharacterKind kind;
  size_t begin;

  using Span = std::span<const Character>;

  /// NFC, then the lower case of each character alone: a sigma at the end of a word is treated as any other sigma.
  static std::vector<Character> normalized(std::string_view text, size_t begin) {
    std::string composed;
    icu::StringByteSink<std::string> sink(&composed);
    icu::Edits edits;
    UErrorCode error = U_ZERO_ERROR;
    const icu::StringPiece given(text.data(), static_cast<int32_t>(text.size()));
    nfc_of_unicode_9().normalizeUTF8(0, given, sink, &edits, error);

    std::vector<Character> characters;
    auto edit = edits.getFineIterator();
    const auto size = static_cast<int32_t>(composed.size());
    for (int32_t i = 0; i < size;) {
      edit.findDestinationIndex(i, error);
      const int32_t source = edit.sourceIndex() + (edit.hasChange() ? 0 : i - edit.destinationIndex());
      UChar32 character;
      U8_NEXT_OR_FFFD(composed.data(), i, size, character);
      const icu::UnicodeString lower = icu::UnicodeString(character).toLower(icu::Locale::getRoot());
      for (int32_t k = 0; k < lower.length(); k = lower.moveIndex32(k, 1)) {
        const UChar32 value = lower.char32At(k);
        characters.push_back({value, kind_of(value), begin + static_cast<size_t>(source)});
      }
    }
    if (U_FAILURE(error)) throw std::runtime_error(std::string("ICU can't normalize text: ") + u_errorName(error));
    return characters;
  }

  static bool starts_with(Span text, std::string_view word) {
    return text.size() >= word.size() && std::equal(word.begin(), word.end(), text.begin(),
                                                    [](char letter, const Character& c) { return c.value == letter; });
  }

  /// The length of the first word of a text, by the grammar above.
  /// @param special  whether kSpecial counts
  static size_t first_word(Span text, bool special) {
    if (special) {
      for (const std::string_view word : kSpecial) {
        if (starts_with(text, word)) return word.size();
      }
    }
    for (const std::string_view word : kContractions) {
      if (starts_with(text, word)) return word.size();
    }
    if (text[0].kind == CharacterKind::number) return 1;
    const auto end = std::find_if(text.begin(), text.end(), [&](const Character& c) { return c.kind != text[0].kind; });
    return static_cast<size_t>(end - text.begin());
  }
};

ClipBpe::ClipBpe(const Manifest::Tokenizer& spec, const std::vector<std::string>& files) {
  Vocabulary vocabulary(spec.files.at(0), files.at(0));
  read_bytes(vocabulary);
  read_merges(vocabulary, spec.files.at(1), files.at(1));
  tokens_ = std::move(vocabulary.tokens);
  read_special(spec);
}

void ClipBpe::read_bytes(const Vocabulary& vocabulary) {
  const auto token_of = [&](const std::string& text, int byte) {
    if (const Token* token = vocabulary.find(text)) return *token;
    throw BundleError(vocabulary.file + ": has no token '" + text + "' for byte " + std::to_string(byte) +
                      ", expected each byte, on its own and with '</w>'");
  };
  for (int byte = 0; byte < 256; ++byte) {
    bytes_[byte] = token_of(spelled(byte), byte);
    last_bytes_[byte] = token_of(spelled(byte).append(kWordEnd), byte);
  }
}

void ClipBpe::read_merges(const Vocabulary& vocabulary, const std::string& file, const std::string& content) {
  size_t number = 0;
  const auto refuse = [&](const std::string& what) {
    throw BundleError(file + ": line " + std::to_string(number) + ": " + what);
  };
  const auto token_of = [&](const std::string& text) {
    const Token* token = vocabulary.find(text);
    if (token == nullptr) refuse(in_quotes(text, 60) + " is not in " + vocabulary.file);
    return *token;
  };
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    std::string_view line(content.data() + begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("#version")) continue;
    const size_t space = line.find(' ');
    if (space == 0 || space >= line.size() - 1 || line.find(' ', space + 1) != line.npos) {
      refuse("is " + in_quotes(line, 60) + ", expected two tokens with a space between them");
    }
    const std::string left(line.substr(0, space)), right(line.substr(space + 1));
    merges_.push_back({token_of(left), token_of(right), token_of(left + right), number});
  }
  const auto pair = [](const Merge& merge) { return std::tie(merge.left, merge.right); };
  std::stable_sort(merges_.begin(), merges_.end(), [&](auto& a, auto& b) { return pair(a) < pair(b); });
  const auto twice =
      std::adjacent_find(merges_.begin(), merges_.end(), [&](auto& a, auto& b) { return pair(a) == pair(b); });
  if (twice == merges_.end()) return;
  number = twice[1].line;
  refuse("is the pair of line " + std::to_string(twice[0].line) + ", expected each pair once");
}

void ClipBpe::read_special(const Manifest::Tokenizer& spec) {
  const auto read = [&](const std::string& name, int64_t id) {
    const auto found = std::find_if(tokens_.begin(), tokens_.end(), [&](const Spelled& t) { return t.id == id; });
    if (found == tokens_.end()) {
      throw BundleError(spec.files[0] + ": no token has the id " + std::to_string(id) + ", model.json's " + name);
    }
    if (!found->text.empty()) special_.push_back(*found);
  };
  if (spec.bos) read("bos", *spec.bos);
  if (spec.eos) read("eos", *spec.eos);
  read("pad", spec.pad);
}

const ClipBpe::Merge* ClipBpe::find_merge(Token left, Token right) const {
  const auto before = [](const Merge& merge, std::pair<Token, Token> pair) {
    return std::tie(merge.left, merge.right) < std::tie(pair.first, pair.second);
  };
  const auto found = std::lower_bound(merges_.begin(), merges_.end(), std::pair(left, right), before);
  return found != merges_.end() && found->left == left && found->right == right ? &*found : nullptr;
}

const ClipBpe::Spelled* ClipBpe::special_at(std::string_view text) const {
  const Spelled* longest = nullptr;
  for (const Spelled& token : special_) {
    if (text.starts_with(token.text) && (!longest || token.text.size() > longest->text.size())) longest = &token;
  }
  return longest;
}

std::vector<Piece> ClipBpe::pieces(std::string_view text) const {
  std::vector<Piece> pieces;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const Spelled* special = special_at(text.substr(i));
    if (special == nullptr) {
      ++i;
      continue;
    }
    append_words(text.substr(begin, i - begin), begin, pieces);
    pieces.push_back({special->id, special->text, i});
    i += special->text.size();
    begin = i;
  }
  append_words(text.substr(begin), begin, pieces);
  return pieces;
}

void ClipBpe::append_words(std::string_view text, size_t begin, std::vector<Piece>& pieces) const {
  const std::vector<Character> characters = Character::normalized(text, begin);
  for (Character::Span rest = characters; !rest.empty();) {
    // First by CLIP's expression, then by ByteLevel's, which has no special tokens.
    Character::Span part = rest.first(Character::first_word(rest, /*special=*/true));
    rest = rest.subspan(part.size());
    if (part[0].kind == CharacterKind::space) continue;  // of any length
    while (!part.empty()) {
      const size_t size = Character::first_word(part, /*special=*/false);
      append_word(part.first(size), pieces);
      part = part.subspan(size);
    }
  }
}

void ClipBpe::append_word(std::span<const Character> word, std::vector<Piece>& pieces) const {
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  constexpr Token kGone = std::numeric_limits<Token>::max();
  struct Part {
    Token token;
    size_t begin, before, after;
  };
  std::vector<Part> parts;
  for (const Character& character : word) {
    for (const char byte : utf8(character.value)) {
      parts.push_back({bytes_[static_cast<unsigned char>(byte)], character.begin, parts.size() - 1, parts.size() + 1});
    }
  }
  parts.front().before = parts.back().after = kNone;
  parts.back().token = last_bytes_[static_cast<unsigned char>(utf8(word.back().value).back())];

  // The pairs that can be joined, ordered by their line in merges.txt, then from the left.
  struct Candidate {
    size_t line, left;
    bool operator>(const Candidate& other) const { return std::tie(line, left) > std::tie(other.line, other.left); }
  };
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto merge_at = [&](size_t left) -> const Merge* {
    if (left == kNone || parts[left].token == kGone || parts[left].after == kNone) return nullptr;
    return find_merge(parts[left].token, parts[parts[left].after].token);
  };
  const auto consider = [&](size_t left) {
    if (const Merge* merge = merge_at(left)) candidates.push({merge->line, left});
  };
  for (size_t i = 0; i < parts.size(); ++i) consider(i);
  while (!candidates.empty()) {
    const auto [line, left] = candidates.top();
    candidates.pop();
    const Merge* merge = merge_at(left);
    if (merge == nullptr || merge->line != line) continue;  // a part of this pair has been joined with another
    Part& part = parts[left];
    Part& joined = parts[part.after];
    part.token = merge->joined;
    part.after = joined.after;
    joined.token = kGone;
    if (part.after != kNone) parts[part.after].before = left;
    consider(part.before);
    consider(left);
  }
  for (const Part& part : parts) {
    if (part.token != kGone) pieces.push_back({tokens_[part.token].id, tokens_[part.token].text, part.begin});
  }
}

}  // namespace steplapse
