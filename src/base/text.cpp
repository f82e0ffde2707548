#include "base/text.h"

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <stdexcept>

namespace steplapse {
namespace {

constexpr size_t kSlugLength = 40;

icu::UnicodeString unicode(std::string_view text) {
  return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
}

std::string utf8(const icu::UnicodeString& text) {
  std::string bytes;
  return text.toUTF8String(bytes);
}

icu::UnicodeString normalized(std::string_view text, const icu::Normalizer2* (*form)(UErrorCode&)) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::UnicodeString result = form(error)->normalize(unicode(text), error);
  if (U_FAILURE(error)) throw std::runtime_error(std::string("ICU can't normalize text: ") + u_errorName(error));
  return result;
}

std::vector<UChar32> folded_characters(std::string_view text) {
  const icu::UnicodeString folded = unicode(text).foldCase();
  std::vector<UChar32> characters;
  for (int32_t i = 0; i < folded.length(); i = folded.moveIndex32(i, 1)) characters.push_back(folded.char32At(i));
  return characters;
}

bool in_a_word(UChar32 character) {
  return u_isalnum(character) || (U_GET_GC_MASK(character) & U_GC_M_MASK) != 0;  // letters, digits, accents
}

bool visible(UChar32 character) {
  constexpr UChar32 kJoiner = 0x200d;  // of emoji
  const bool ends_line = (U_GET_GC_MASK(character) & (U_GC_ZL_MASK | U_GC_ZP_MASK)) != 0;
  return (u_isprint(character) && !ends_line) || character == kJoiner;
}

std::string escape(UChar32 character) {
  if (character == '\n') return "\\n";
  if (character == '\t') return "\\t";
  char text[16];
  std::snprintf(text, sizeof text, "\\u{%x}", static_cast<unsigned>(character));
  return text;
}

std::string escape_bytes(std::string_view bytes) {
  std::string escaped;
  for (const char byte : bytes) {
    char text[8];
    std::snprintf(text, sizeof text, "\\x%02x", static_cast<unsigned char>(byte));
    escaped += text;
  }
  return escaped;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    UChar32 character;
    U8_NEXT(text.data(), i, text.size(), character);
    if (character < 0) return false;
  }
  return true;
}

std::string nfc(std::string_view text) { return utf8(normalized(text, icu::Normalizer2::getNFCInstance)); }

std::string lower_case(std::string_view text) { return utf8(unicode(text).toLower(icu::Locale::getRoot())); }

std::vector<std::string> words(std::string_view text) {
  const icu::UnicodeString lower = unicode(text).toLower(icu::Locale::getRoot()) + ' ';  // which ends the last word
  std::vector<std::string> words;
  std::string word;
  for (int32_t i = 0; i < lower.length(); i = lower.moveIndex32(i, 1)) {
    const UChar32 character = lower.char32At(i);
    if (in_a_word(character)) {
      word += utf8(character);
    } else if (!word.empty()) {
      words.push_back(word);
      word.clear();
    }
  }
  return words;
}

size_t edit_distance(std::string_view first, std::string_view second) {
  const auto a = folded_characters(first), b = folded_characters(second);
  // d[i][j]: from the first i characters of a to the first j of b.
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::optional<std::string> nearest(std::string_view name, const std::vector<std::string>& choices) {
  std::optional<std::string> best;
  const size_t length = folded_characters(name).size();
  size_t limit = (length < 2 ? 0 : std::max<size_t>(1, length / 3)) + 1;
  for (const std::string& choice : choices) {
    const size_t other = folded_characters(choice).size();
    if (std::max(length, other) - std::min(length, other) >= limit)
      continue;  // the distance is no less: names may be huge
    const size_t distance = edit_distance(name, choice);
    if (distance >= limit) continue;
    limit = distance;
    best = choice;
  }
  return best;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& choices, std::string_view otherwise,
                         std::string_view prefix) {
  const auto meant = nearest(name, choices);
  return meant ? ", did you mean " + in_quotes(std::string(prefix) + *meant) + "?" : std::string(otherwise);
}

std::string escaped(std::string_view text, size_t max_characters) {
  std::string line;
  size_t shown = 0;
  for (size_t i = 0; i < text.size(); ++shown) {
    if (shown == max_characters) return line + "…";
    const size_t start = i;
    UChar32 character;
    U8_NEXT(text.data(), i, text.size(), character);
    const std::string_view bytes = text.substr(start, i - start);
    if (character < 0) {
      line += escape_bytes(bytes);
    } else {
      line += visible(character) ? std::string(bytes) : escape(character);
    }
  }
  return line;
}

std::string in_quotes(std::string_view text, size_t max_characters) {
  return std::string("'").append(escaped(text, max_characters)).append("'");
}

std::string shell_quoted(std::string_view text) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::strchr("_./:=,+-", c) != nullptr;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return std::string(text);
  std::string quoted = "\"";
  for (const char character : text) {
    if (std::strchr("\"$`\\", character) != nullptr) quoted += '\\';
    quoted += character;
  }
  return quoted + '"';
}

std::string joined(const std::vector<std::string>& texts, std::string_view between) {
  std::string all;
  for (const std::string& text : texts) all.append(&text == &texts.front() ? "" : between).append(text);
  return all;
}

std::string counted(int64_t number, std::string_view what) {
  return std::to_string(number).append(" ").append(what).append(number == 1 ? "" : "s");
}

size_t display_width(std::string_view text) {
  size_t columns = 0;
  for (size_t i = 0; i < text.size();) {
    UChar32 character;
    U8_NEXT(text.data(), i, text.size(), character);
    if (character < 0) character = 0xfffd;
    if ((U_GET_GC_MASK(character) & (U_GC_MN_MASK | U_GC_ME_MASK | U_GC_CF_MASK)) != 0) continue;
    const int width = u_getIntPropertyValue(character, UCHAR_EAST_ASIAN_WIDTH);
    columns += width == U_EA_WIDE || width == U_EA_FULLWIDTH ? 2 : 1;
  }
  return columns;
}

std::string wrapped(std::string_view text, size_t columns, size_t indent, size_t begins) {
  std::string lines;
  size_t column = begins;
  bool at_start = true;
  std::istringstream rest{std::string(text)};
  for (std::string word; rest >> word;) {
    const size_t width = display_width(word);
    if (!at_start && column + 1 + width > columns) {
      lines.append("\n").append(indent, ' ');
      column = indent;
      at_start = true;
    }
    lines.append(at_start ? "" : " ").append(word);
    column += (at_start ? 0 : 1) + width;
    at_start = false;
  }
  return lines;
}

std::string plain(double number) {
  std::ostringstream text;
  text << number;
  return text.str();
}

std::string slug(std::string_view prompt) {
  const icu::UnicodeString apart =
      normalized(prompt, icu::Normalizer2::getNFKDInstance).toLower(icu::Locale::getRoot());
  std::string slug;
  for (int32_t i = 0; i < apart.length() && slug.size() < kSlugLength; i = apart.moveIndex32(i, 1)) {
    const UChar32 character = apart.char32At(i);
    const bool plain = (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9');
    if (plain) {
      slug += static_cast<char>(character);
    } else if (!in_a_word(character) && !slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  if (slug.ends_with('-')) slug.pop_back();
  return slug.empty() ? "empty" : slug;
}

}  // namespace steplapse
