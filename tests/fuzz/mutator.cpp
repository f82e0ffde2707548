#include "mutator.h"

#include <algorithm>
#include <cctype>
#include <cstring>

namespace steplapse::fuzz {
namespace {

constexpr size_t kMostChanges = 6;
constexpr size_t kLongestMutant = 8 << 20;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0; }

/// Words with their digits, runs of blanks, and every other character alone.
std::vector<std::string> tokens_of(const std::string& text) {
  std::vector<std::string> tokens;
  const auto kind = [](char c) { return is_word(c) ? 1 : c == ' ' ? 2 : 0; };
  for (const char c : text) {
    if (!tokens.empty() && kind(c) != 0 && kind(tokens.back()[0]) == kind(c)) {
      tokens.back() += c;
    } else {
      tokens.emplace_back(1, c);
    }
  }
  return tokens;
}

std::string repeated(const std::string& text, size_t count) {
  std::string all;
  for (size_t i = 0; i < count && all.size() < kLongestMutant; ++i) all += text;
  return all;
}

}  // namespace

int64_t Mutator::number() {
  static const std::vector<int64_t> ends{0,
                                         1,
                                         -1,
                                         2,
                                         127,
                                         128,
                                         255,
                                         256,
                                         32767,
                                         65535,
                                         65536,
                                         1 << 20,
                                         INT32_MAX,
                                         INT32_MIN,
                                         UINT32_MAX,
                                         1'000'000'000,
                                         3'000'000'000,
                                         INT64_MAX,
                                         INT64_MIN,
                                         int64_t{1} << 53,
                                         int64_t{1} << 62};
  if (one_in(3)) return static_cast<int64_t>(random_());
  return one_of(ends) + (one_in(4) ? static_cast<int64_t>(below(5)) - 2 : 0);
}

std::string Mutator::bytes(std::string changed, const std::string& other) {
  for (size_t changes = one_in(2) ? 1 : 1 + below(kMostChanges); changes > 0; --changes) change_bytes(changed, other);
  return changed;
}

void Mutator::change_bytes(std::string& changed, const std::string& other) {
  if (changed.empty()) {
    changed = other;
    return;
  }
  const size_t at = below(changed.size()), size = 1 + below(std::min<size_t>(64, changed.size() - at));
  switch (below(8)) {
    case 0: changed[at] = static_cast<char>(changed[at] ^ (1 << below(8))); break;
    case 1: changed[at] = static_cast<char>(random_()); break;
    case 2: {  // a length, an offset, a count
      const int64_t value = number();
      const size_t width = std::min<size_t>(size_t{1} << below(4), changed.size() - at);
      std::memcpy(changed.data() + at, &value, width);
      break;
    }
    case 3: changed.erase(at, size); break;
    case 4: changed.insert(at, changed.substr(below(changed.size()), size)); break;
    case 5: changed.insert(at, repeated(changed.substr(at, size), 1 + below(one_in(20) ? 10'000 : 20))); break;
    case 6:
      if (!other.empty()) changed.replace(at, size, other.substr(below(other.size()), size));
      break;
    default:
      if (one_in(4)) changed.resize(at);
  }
}

std::string Mutator::text(const std::string& original, const std::vector<std::string>& words) {
  std::vector<std::string> tokens = tokens_of(original);
  for (size_t changes = one_in(2) ? 1 : 1 + below(kMostChanges); changes > 0; --changes) {
    if (tokens.empty()) break;
    if (one_in(4)) {
      change_lines(tokens);
    } else {
      change_tokens(tokens, words);
    }
  }
  std::string all;
  for (const std::string& token : tokens) all += token;
  return all;
}

void Mutator::change_tokens(std::vector<std::string>& tokens, const std::vector<std::string>& words) {
  const auto at = tokens.begin() + static_cast<ptrdiff_t>(below(tokens.size()));
  const bool is_number = std::isdigit(static_cast<unsigned char>((*at)[0])) != 0;
  switch (below(7)) {
    case 0: tokens.erase(at); break;
    case 1: *at = repeated(*at, 2 + below(one_in(20) ? 30'000 : 10)); break;
    case 2: std::swap(*at, tokens[below(tokens.size())]); break;
    case 3: *at = tokens[below(tokens.size())]; break;
    case 4: *at = std::to_string(number()); break;
    case 5:
      if (!is_number) (*at)[below(at->size())] = static_cast<char>(random_());
      break;
    default: *at = is_number || words.empty() ? std::to_string(number()) : one_of(words);
  }
}

void Mutator::change_lines(std::vector<std::string>& tokens) {
  const auto line_at = [&](size_t from) {
    const auto begin = std::find(tokens.begin() + static_cast<ptrdiff_t>(from), tokens.end(), "\n");
    const auto first = begin == tokens.end() ? tokens.begin() : begin + 1;
    const auto end = std::find(first, tokens.end(), "\n");
    return std::pair(first, end == tokens.end() ? end : end + 1);
  };
  const auto [begin, end] = line_at(below(tokens.size()));
  if (one_in(2)) {
    tokens.erase(begin, end);
    return;
  }
  const std::vector<std::string> line(begin, end);
  const auto [place, ignored] = line_at(below(tokens.size()));
  tokens.insert(place, line.begin(), line.end());
}

}  // namespace steplapse::fuzz
