#include "studies/sweep/sweep_words.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr int kMostRepeats = 1000;

/// Whether two neighbours are of one word. Scripts that write no blanks, whose characters are wide, have no such words.
bool are_of_one_word(UChar32 left, UChar32 right) {
  const auto belongs = [](UChar32 c) {
    const int width = u_getIntPropertyValue(c, UCHAR_EAST_ASIAN_WIDTH);
    return c >= 0 && (u_isalnum(c) || c == '_') && width != U_EA_WIDE && width != U_EA_FULLWIDTH;
  };
  return belongs(left) && belongs(right);
}

/// Whether a word could end here: at the text's ends, and between characters that are not of one word.
bool is_edge(const std::string& text, size_t at) {
  if (at == 0 || at == text.size()) return true;
  UChar32 before = 0, after = 0;
  auto back = static_cast<int32_t>(at), on = static_cast<int32_t>(at);
  U8_PREV(text.data(), 0, back, before);
  U8_NEXT(text.data(), on, static_cast<int32_t>(text.size()), after);
  return !are_of_one_word(before, after);
}

size_t place_of(const std::string& text, const std::string& word, size_t from) {
  for (size_t at = text.find(word, from); at != std::string::npos; at = text.find(word, at + 1)) {
    if (is_edge(text, at) && is_edge(text, at + word.size())) return at;
  }
  return std::string::npos;
}

std::string with_changed(const std::string& text, const std::string& word, const std::string& by) {
  std::string changed;
  size_t rest = 0;
  for (size_t at = place_of(text, word, 0); at != std::string::npos; at = place_of(text, word, rest)) {
    changed += text.substr(rest, at - rest) + by;
    rest = at + word.size();
    if (by.empty() && text[rest] == ' ' && (changed.empty() || changed.back() == ' ')) ++rest;  // one blank is enough
  }
  return changed + text.substr(rest);
}

double weight_of(const std::string& text, const std::string& value) {
  double weight = 0;
  const auto [rest, error] = std::from_chars(value.data(), value.data() + value.size(), weight);
  if (error == std::errc() && rest == value.data() + value.size() && std::isfinite(weight)) return weight;
  throw UsageError("`weight` " + in_quotes(text) + ": expected WORD=NUMBER, as apple=1.2");
}

std::string weighted(const Settings& settings, const std::string& text, const std::string& word,
                     const std::string& value) {
  if (weight_of(text, value) == 1) return word;
  if (settings.prompt_syntax == PromptSyntax::plain)
    throw UsageError("`weight` " + in_quotes(text) + ": words have weights where `prompt_syntax` is weights");
  return "(" + word + ":" + value + ")";
}

std::string repeated(const std::string& text, const std::string& word, const std::string& value) {
  int times = 0;
  const auto [rest, error] = std::from_chars(value.data(), value.data() + value.size(), times);
  if (error != std::errc() || rest != value.data() + value.size() || times < 0 || times > kMostRepeats)
    throw UsageError("`repeat` " + in_quotes(text) + ": expected WORD=N, N from 0 to " + std::to_string(kMostRepeats));
  return joined(std::vector<std::string>(static_cast<size_t>(times), word), " ");
}

}  // namespace

bool changes_words(const std::string& setting) {
  return setting == "replace" || setting == "weight" || setting == "repeat";
}

std::pair<std::string, std::string> word_and_value(const std::string& setting, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw UsageError("`" + setting + "` " + in_quotes(text) + ": expected WORD=VALUE");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

bool has_words(const std::string& text, const std::string& word) {
  return place_of(text, word, 0) != std::string::npos;
}

void change_words(Settings& settings, const std::string& setting, const std::string& text) {
  const auto [word, value] = word_and_value(setting, text);
  const std::string by = setting == "weight"   ? weighted(settings, text, word, value)
                         : setting == "repeat" ? repeated(text, word, value)
                                               : value;
  settings.prompt = with_changed(settings.prompt, word, by);
  if (settings.negative_prompt) settings.negative_prompt = with_changed(*settings.negative_prompt, word, by);
}

void check_words(const SweepPlan& plan, const std::string& place) {
  std::vector<std::string> prompts;  // and what replaces words in them
  std::vector<std::pair<std::string, std::string>> words;
  const auto look = [&](const SweepSettings& settings) {
    for (const auto& [name, text] : settings) {
      if (name == "prompt" || name == "negative_prompt") prompts.push_back(text);
      if (name == "replace") prompts.push_back(word_and_value(name, text).second);
      if (!changes_words(name)) continue;
      const std::pair word(name, word_and_value(name, text).first);
      if (words.empty() || words.back() != word) words.push_back(word);
    }
  };
  look(plan.fixed);
  for (const SweepAxis& axis : plan.axes) std::for_each(axis.points.begin(), axis.points.end(), look);
  for (const auto& [name, word] : words) {
    const auto has_it = [&, &sought = word](const std::string& text) { return has_words(text, sought); };
    if (std::any_of(prompts.begin(), prompts.end(), has_it)) continue;
    throw UsageError((place.empty() ? "" : place + ": ") + "`" + name + "` " + in_quotes(word + "=...") +
                     ": no prompt has the word " + in_quotes(word));
  }
}

}  // namespace steplapse
