#include "prompt/syntax.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr double kRound = 1.1, kSquare = 1 / 1.1;
constexpr double kHeaviest = 100;
constexpr size_t kDeepest = 100;     // brackets in brackets
constexpr size_t kLongestTag = 256;  // bytes of <lora:...>
constexpr size_t kShown = 40;        // characters of the prompt in a message
constexpr size_t kNone = std::string_view::npos;

constexpr std::string_view kSpaces = " \t\r\n\f\v";
constexpr std::string_view kSpecial = "\\()[]:|<";

// ---- numbers

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpaces);
  return first == kNone ? std::string_view() : text.substr(first, text.find_last_not_of(kSpaces) + 1 - first);
}

/// The number that a text is, if it is one: digits, perhaps a sign and a point, and an exponent where `format` allows
/// it. Never inf or nan.
std::optional<double> number_in(std::string_view text, std::chars_format format) {
  text = trimmed(text);
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || !(is_digit(digits[0]) || digits[0] == '.')) return std::nullopt;
  double value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value, format);
  if (error != std::errc() || rest != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string number_text(double number) {
  if (std::isnan(number)) return "nan";  // never "-nan"
  std::ostringstream text;
  text << number;
  return text.str();
}

// ---- words in capitals

bool in_a_word(UChar32 character) { return character == '_' || u_isalnum(character); }

bool word_ends_before(std::string_view text, size_t byte) {
  if (byte == 0) return true;
  auto at = static_cast<int32_t>(byte);
  UChar32 character;
  U8_PREV(text.data(), 0, at, character);
  return !in_a_word(character);
}

bool word_begins_after(std::string_view text, size_t byte) {
  if (byte == text.size()) return true;
  UChar32 character;
  U8_NEXT(text.data(), byte, text.size(), character);
  return !in_a_word(character);
}

/// The place of a word that stands alone in text[from, to).
size_t find_word(std::string_view text, std::string_view word, size_t from, size_t to) {
  const std::string_view searched = text.substr(0, to);
  for (size_t at = searched.find(word, from); at != kNone; at = searched.find(word, at + 1)) {
    if (word_ends_before(text, at) && word_begins_after(text, at + word.size())) return at;
  }
  return kNone;
}

/// The warnings of one kind: the first as a line, the others counted.
struct Note {
  std::string kind, line;
  size_t more = 0;
};

// ---- the parser

struct Token {
  enum Kind { text, opens_round, closes_round, opens_square, closes_square, colon, bar, starts_chunk };
  Kind kind;
  size_t begin, end;           // bytes of the prompt
  size_t partner = kNone;      // of a bracket: the token of the other one
  size_t part = 0;             // of an opening bracket: the first part inside
  size_t first_colon = kNone;  // of an opening bracket: the first colon inside it and in no inner bracket
};

class Parser {
 public:
  Parser(std::string_view prompt, const std::string& place) : prompt_(prompt), place_(place) {}

  ParsedPrompt parse() {
    cut_into_tokens();
    find_partners();
    for (size_t i = 0; i < tokens_.size(); ++i) take(i);
    check_weights();
    return {merged(), warnings()};
  }

 private:
  // First pass: the tokens, then the partner of each bracket.

  void cut_into_tokens() {
    for (size_t at = 0; at < prompt_.size();) at = cut_token(at);
  }

  size_t cut_token(size_t at) {
    switch (prompt_[at]) {
      case '\\': return cut_escape(at);
      case '<': return cut_tag(at);
      case '(': return push(Token::opens_round, at, at + 1);
      case ')': return push(Token::closes_round, at, at + 1);
      case '[': return push(Token::opens_square, at, at + 1);
      case ']': return push(Token::closes_square, at, at + 1);
      case ':': return push(Token::colon, at, at + 1);
      case '|': return push(Token::bar, at, at + 1);
      default: return cut_words(at, std::min(prompt_.find_first_of(kSpecial, at), prompt_.size()));
    }
  }

  size_t push(Token::Kind kind, size_t begin, size_t end) {
    if (begin < end) tokens_.push_back({kind, begin, end});
    return end;
  }

  /// Leaves the backslash out, except at the end of the prompt.
  size_t cut_escape(size_t at) {
    size_t end = at + 1;
    if (end == prompt_.size()) return push(Token::text, at, end);
    U8_FWD_1(prompt_.data(), end, prompt_.size());
    return push(Token::text, at + 1, end);
  }

  size_t cut_tag(size_t at) {
    const std::string_view rest = prompt_.substr(at, kLongestTag);
    for (const std::string_view name : {"<lora:", "<lyco:", "<hypernet:"}) {
      const size_t end = rest.find('>');
      if (!rest.starts_with(name) || end == kNone || end == name.size()) continue;
      note("tag", at,
           in_quotes(rest.substr(0, end + 1), kShown) +
               " is left out: a LoRA is merged into the model when its bundle is exported");
      return at + end + 1;
    }
    return push(Token::text, at, at + 1);
  }

  size_t cut_words(size_t begin, size_t end) {
    if (const size_t found = find_word(prompt_, "AND", begin, end); found != kNone) {
      note("AND", found, "AND is a word here, prompts are not composed");
    }
    for (size_t found = find_word(prompt_, "BREAK", begin, end); found != kNone;
         found = find_word(prompt_, "BREAK", begin, end)) {
      const size_t last = prompt_.find_last_not_of(kSpaces, found - 1);  // npos for found 0 too
      push(Token::text, begin, found == 0 || last == kNone ? begin : std::max(begin, last + 1));
      push(Token::starts_chunk, found, found + 5);
      begin = std::min(prompt_.find_first_not_of(kSpaces, found + 5), end);
    }
    push(Token::text, begin, end);
    return end;
  }

  void find_partners() {
    std::vector<size_t> round, square, alone;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const Token::Kind kind = tokens_[i].kind;
      std::vector<size_t>& open = kind == Token::opens_round || kind == Token::closes_round ? round : square;
      if (kind == Token::opens_round || kind == Token::opens_square) open.push_back(i);
      if (kind != Token::closes_round && kind != Token::closes_square) continue;
      if (open.empty()) {
        alone.push_back(i);
        continue;
      }
      tokens_[i].partner = open.back();
      tokens_[open.back()].partner = i;
      open.pop_back();
    }
    alone.insert(alone.end(), round.begin(), round.end());
    alone.insert(alone.end(), square.begin(), square.end());
    std::sort(alone.begin(), alone.end());
    for (const size_t i : alone) {
      const std::string bracket = slice(tokens_[i]);
      note("alone", tokens_[i].begin,
           "'" + bracket + "' has no partner and is text; where it is meant so, write '\\" + bracket + "'");
      tokens_[i].kind = Token::text;
    }
  }

  // Second pass: the parts and their weights.

  void take(size_t i) {
    Token& token = tokens_[i];
    switch (token.kind) {
      case Token::opens_round:
      case Token::opens_square: open(i); break;
      case Token::closes_round: close(i, round_weight(i)); break;
      case Token::closes_square:
        refuse_editing(i);
        warn_of_colon(i);
        close(i, kSquare);
        break;
      case Token::bar:
        if (!open_.empty() && tokens_[open_.back()].kind == Token::opens_square) refuse_alternation(i);
        parts_.push_back({slice(token), 1, token.begin, false});
        break;
      case Token::colon:
        if (!open_.empty()) tokens_[open_.back()].first_colon = std::min(tokens_[open_.back()].first_colon, i);
        [[fallthrough]];
      case Token::text: parts_.push_back({slice(token), 1, token.begin, false}); break;
      case Token::starts_chunk: parts_.push_back({"", 1, token.end, true}); break;
    }
  }

  void open(size_t i) {
    if (open_.size() == kDeepest) {
      throw UsageError(location(tokens_[i].begin) + ": brackets more than " + std::to_string(kDeepest) + " deep; " +
                       way_out(slice(tokens_[i])));
    }
    open_.push_back(i);
    tokens_[i].part = parts_.size();
  }

  void close(size_t i, double factor) {
    const size_t opening = tokens_[i].partner;
    open_.erase(std::find(open_.begin(), open_.end(), opening));  // brackets may cross: ([)]
    for (size_t part = tokens_[opening].part; part < parts_.size(); ++part) parts_[part].weight *= factor;
  }

  /// The colon before the text that a closing bracket ends, with no other bracket between.
  std::optional<size_t> colon_before(size_t closing) const {
    for (size_t i = closing; i-- > tokens_[closing].partner + 1;) {
      if (tokens_[i].kind == Token::colon) return i;
      if (tokens_[i].kind != Token::text && tokens_[i].kind != Token::bar) break;
    }
    return std::nullopt;
  }

  /// The weight that round brackets give, else 1.1. Removes the weight from the text.
  double round_weight(size_t closing) {
    const std::optional<size_t> colon = colon_before(closing);
    if (!colon) return kRound;
    const std::string_view said = between(*colon, closing);
    const std::optional<double> weight = number_in(said, std::chars_format::fixed);
    if (!weight) refuse_weight(*colon, closing);
    warn_of_times(*colon, closing);
    parts_.resize(parts_.size() - (closing - *colon));
    return *weight;
  }

  [[noreturn]] void refuse_weight(size_t colon, size_t closing) const {
    const std::string_view said = between(colon, closing), found = trimmed(said);
    const size_t begin = found.empty() ? tokens_[closing].begin : static_cast<size_t>(found.data() - prompt_.data());
    const Token& opening = tokens_[tokens_[closing].partner];
    const std::string_view brackets = prompt_.substr(opening.begin, tokens_[closing].end - opening.begin);
    throw UsageError(location(begin) + ": " + (found.empty() ? "nothing" : in_quotes(found, kShown)) +
                     " after ':' in " + in_quotes(brackets, kShown) + ", expected a weight as in (word:1.2); " +
                     way_out(":"));
  }

  /// (12:30) and (16:9) are weights in this syntax, but mostly meant as a time or a ratio.
  void warn_of_times(size_t colon, size_t closing) {
    const std::string_view said = between(colon, closing);
    const size_t begin = tokens_[colon].begin;
    if (!is_digit(prompt_[begin - 1]) || !std::all_of(said.begin(), said.end(), is_digit)) return;
    note("time", begin,
         in_quotes(prompt_.substr(begin, said.size() + 1), kShown) + " is a weight; for a time or a ratio write '\\:'");
  }

  void refuse_editing(size_t closing) const {
    const std::optional<size_t> colon = colon_before(closing);
    if (!colon || !number_in(between(*colon, closing), std::chars_format::general)) return;
    refuse_brackets(tokens_[closing].partner, "prompt editing (words that change on the way)", ":");
  }

  /// Warns of a colon in square brackets, which most likely was meant for prompt editing.
  void warn_of_colon(size_t closing) {
    const Token& opening = tokens_[tokens_[closing].partner];
    if (opening.first_colon == kNone) return;
    note("colon", tokens_[opening.first_colon].begin,
         "':' in " + in_quotes(prompt_.substr(opening.begin, tokens_[closing].end - opening.begin), kShown) +
             " is text, the brackets weigh 1 / 1.1; where it is meant so, write '\\:'");
  }

  [[noreturn]] void refuse_alternation(size_t bar) const {
    refuse_brackets(open_.back(), "alternating words", slice(tokens_[bar]));
  }

  [[noreturn]] void refuse_brackets(size_t opening, const std::string& what, const std::string& character) const {
    const size_t begin = tokens_[opening].begin, end = tokens_[tokens_[opening].partner].end;
    throw UsageError(location(begin) + ": " + in_quotes(prompt_.substr(begin, end - begin), kShown) + " asks for " +
                     what + ", which steplapse does not do; " + way_out(character));
  }

  void check_weights() const {
    for (const PromptPart& part : parts_) {
      if (std::abs(part.weight) <= kHeaviest || part.text.empty()) continue;
      throw UsageError(location(part.begin) + ": the weight of " + in_quotes(part.text, kShown) + " comes to " +
                       number_text(part.weight) + ", expected " + number_text(-kHeaviest) + " to " +
                       number_text(kHeaviest) + "; " + way_out(":"));
    }
  }

  /// Joins neighbours of equal weight, so that the tokenizers see one text.
  std::vector<PromptPart> merged() {
    std::vector<PromptPart> merged;
    for (PromptPart& part : parts_) {
      PromptPart* last = merged.empty() ? nullptr : &merged.back();
      if (part.starts_chunk || !last) {
        merged.push_back(std::move(part));
      } else if (last->text.empty()) {
        part.starts_chunk = last->starts_chunk;
        *last = std::move(part);
      } else if (part.weight == last->weight) {
        last->text += part.text;
      } else {
        merged.push_back(std::move(part));
      }
    }
    if (merged.empty()) merged.emplace_back();
    return merged;
  }

  void note(const std::string& kind, size_t byte, const std::string& text) {
    const auto known = std::find_if(notes_.begin(), notes_.end(), [&](const Note& note) { return note.kind == kind; });
    if (known != notes_.end()) {
      ++known->more;
    } else {
      notes_.push_back({kind, location(byte) + ": " + text});
    }
  }

  std::vector<std::string> warnings() const {
    std::vector<std::string> lines;
    for (const Note& note : notes_) {
      lines.push_back(note.line + (note.more > 0 ? " (and " + std::to_string(note.more) + " more)" : ""));
    }
    return lines;
  }

  std::string slice(const Token& token) const {
    return std::string(prompt_.substr(token.begin, token.end - token.begin));
  }

  std::string_view between(size_t token, size_t other) const {
    return prompt_.substr(tokens_[token].end, tokens_[other].begin - tokens_[token].end);
  }

  std::string location(size_t byte) const {
    const std::string_view before = prompt_.substr(0, byte);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::string_view own = before.substr(before.rfind('\n') + 1);  // npos + 1 is 0
    const auto column = 1 + std::count_if(own.begin(), own.end(), [](char byte) { return !U8_IS_TRAIL(byte); });
    const std::string lines = prompt_.find('\n') == kNone ? "" : "line " + std::to_string(line) + ", ";
    return place_ + ", " + lines + "column " + std::to_string(column);
  }

  static std::string way_out(const std::string& character) {
    return "for the text itself write '\\" + character + "', or `prompt_syntax` plain";
  }

  const std::string_view prompt_;
  const std::string& place_;
  std::vector<Token> tokens_;
  std::vector<size_t> open_;  // the open brackets, outermost first
  std::vector<PromptPart> parts_;
  std::vector<Note> notes_;
};

}  // namespace

ParsedPrompt parse_syntax(std::string_view prompt, PromptSyntax syntax, const std::string& place) {
  if (syntax == PromptSyntax::plain) return {{{std::string(prompt), 1, 0, false}}, {}};
  return Parser(prompt, place).parse();
}

std::string text_of(const std::vector<PromptPart>& parts) {
  std::string text;
  for (const PromptPart& part : parts) {
    if (part.starts_chunk && !text.empty()) text += ' ';
    text += part.text;
  }
  return text;
}

}  // namespace steplapse
