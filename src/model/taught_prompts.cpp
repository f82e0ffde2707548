#include "model/taught_prompts.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

using nlohmann::json;

constexpr size_t kNearestNames = 3;
constexpr double kNear = 1. / 3;
constexpr size_t kComparedWords = 16;  // of a prompt, for the nearest names; more take time and do not help
constexpr size_t kComparedBytes = 32;  // of a word

bool is_texts(const json& value) {
  return value.is_array() && std::all_of(value.begin(), value.end(), [](const json& v) { return v.is_string(); });
}

TaughtPrompt parse_prompt(const json& entry, const std::string& place) {
  if (!entry.is_object()) throw BundleError(place + " is no object");
  if (!entry.contains("name") || !entry["name"].is_string()) throw BundleError(place + " has no text 'name'");
  if (!entry.contains("keywords") || !is_texts(entry["keywords"])) {
    throw BundleError(place + " has no list of texts 'keywords'");
  }
  return {entry["name"], entry["keywords"]};
}

std::string all_text(const TaughtPrompt& prompt) {
  std::string text = prompt.name;
  for (const std::string& keyword : prompt.keywords) text += ' ' + keyword;
  return text;
}

/// The words of three letters and more; all words where there is none.
std::vector<std::string> words_that_count(std::string_view prompt) {
  const std::vector<std::string> all = words(prompt);
  std::vector<std::string> longer;
  std::copy_if(all.begin(), all.end(), std::back_inserter(longer), [](const std::string& w) { return w.size() >= 3; });
  return longer.empty() ? all : longer;
}

/// The share of letters that differ between the nearest two words of prompt and name, 0 to 1.
double distance(const std::vector<std::string>& prompt_words, const std::string& name) {
  double least = 1;
  for (const std::string& known : words(name)) {
    for (const std::string& word : prompt_words) {
      const size_t longest = std::max(word.size(), known.size());
      least = std::min(least, static_cast<double>(edit_distance(word, known)) / static_cast<double>(longest));
    }
  }
  return least;
}

/// The names nearest to the words, as a list; empty where none is near.
std::string nearest_names(const std::vector<TaughtPrompt>& taught, std::vector<std::string> prompt_words) {
  if (prompt_words.size() > kComparedWords) prompt_words.resize(kComparedWords);
  for (std::string& word : prompt_words) word = word.substr(0, kComparedBytes);
  std::vector<std::pair<double, size_t>> ranking;
  for (size_t i = 0; i < taught.size(); ++i) ranking.emplace_back(distance(prompt_words, taught[i].name), i);
  std::sort(ranking.begin(), ranking.end());

  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(kNearestNames, ranking.size()); ++i) {
    if (ranking[i].first > kNear) break;
    names.push_back(escaped(taught[ranking[i].second].name));
  }
  return joined(names, ", ");
}

}  // namespace

std::vector<TaughtPrompt> parse_prompts(std::string_view text, const std::string& file) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) throw BundleError(file + ": not JSON");
  if (!document.is_array()) throw BundleError(file + ": expected a list of prompts");
  std::vector<TaughtPrompt> taught;
  for (const json& entry : document) {
    taught.push_back(parse_prompt(entry, file + ": entry " + std::to_string(taught.size() + 1)));
  }
  return taught;
}

std::vector<TaughtPrompt> search_prompts(const std::vector<TaughtPrompt>& taught, std::string_view query) {
  const std::vector<std::string> query_words = words(query);
  std::vector<TaughtPrompt> found;
  for (const TaughtPrompt& prompt : taught) {
    std::string known;
    for (const std::string& word : words(all_text(prompt))) known += word + ' ';
    const auto is_in = [&](const std::string& word) { return known.find(word) != std::string::npos; };
    if (std::all_of(query_words.begin(), query_words.end(), is_in)) found.push_back(prompt);
  }
  return found;
}

std::optional<std::string> unknown_warning(const std::vector<TaughtPrompt>& taught, std::string_view prompt,
                                           const std::string& which) {
  if (prompt.find_first_not_of(" \t\r\n") == std::string_view::npos) return std::nullopt;
  std::set<std::string> known;
  for (const TaughtPrompt& entry : taught) {
    for (std::string& word : words(all_text(entry))) known.insert(std::move(word));
  }
  const std::vector<std::string> asked = words_that_count(prompt);
  if (std::any_of(asked.begin(), asked.end(), [&](const auto& word) { return known.contains(word); }))
    return std::nullopt;
  const std::string names = nearest_names(taught, asked);
  return "the model was not taught any word of " + which + in_quotes(prompt) +
         (names.empty() ? "; steplapse model prompts lists what it was"
                        : "; nearest names: " + names + " (all: steplapse model prompts)");
}

}  // namespace steplapse
