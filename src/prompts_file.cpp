#include "prompts_file.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <sstream>

#include "flag_words.h"
#include "steplapse/error.h"
#include "steplapse/text.h"
#include "strict_json.h"

namespace steplapse {
namespace {

constexpr const char* kByteOrderMark = "\xEF\xBB\xBF";

[[noreturn]] void refuse(const PromptsLine& line, const std::string& what) { throw UsageError(line.place + ": " + what); }

/// The setting that a key names, which may be another tool's word for it.
std::string known_key(const PromptsLine& line, const std::string& key, const std::vector<std::string>& known) {
  const auto is_known = [&](const std::string& name) { return std::find(known.begin(), known.end(), name) != known.end(); };
  if (is_known(key)) return key;
  std::string name = key;
  std::replace(name.begin(), name.end(), '-', '_');
  if (is_known(name)) return name;
  try {
    if (const auto flag = flag_meant_by("--" + key)) {
      name = flag->substr(2);
      std::replace(name.begin(), name.end(), '-', '_');
      if (is_known(name)) return name;
    }
  } catch (const UsageError& error) {
    refuse(line, error.what());
  }
  const auto meant = nearest(key, known);
  std::string all = "prompt";
  for (const auto& name : known) all += ", " + name;
  refuse(line, "unknown key " + in_quotes(key) + (meant ? ", did you mean " + in_quotes(*meant) + "?" : "; there are: " + all));
}

/// As a flag would have it: 7.5, trailing, 999,500.
std::string flag_text(const PromptsLine& line, const std::string& key, const nlohmann::json& value) {
  if (value.is_string()) return value;
  if (value.is_number()) return value.dump();
  if (!value.is_array() || value.empty()) {
    refuse(line, in_quotes(key) + " is " + shown(value) + ", wanted a number, a text or a list of them");
  }
  std::string list;
  for (const auto& item : value) {
    if (item.is_array()) refuse(line, in_quotes(key) + " is " + shown(value) + ", wanted a flat list");
    list += (list.empty() ? "" : ",") + flag_text(line, key, item);
  }
  return list;
}

void set(PromptsLine& line, const std::string& key, const std::vector<std::string>& known, const std::optional<std::string>& value) {
  const std::string name = known_key(line, key, known);
  if (!line.settings.emplace(name, value).second) refuse(line, in_quotes(name) + " is given twice");
}

void read_json(PromptsLine& line, const std::string& text, const std::vector<std::string>& known) {
  nlohmann::json json;
  try {
    json = parse_strict_json(text);
  } catch (const std::exception& error) {
    refuse(line, std::string(error.what()) + "; a line that begins with { is taken for JSON, a prompt that begins so is written "
                                             "{\"prompt\": \"{...\"}");
  }
  if (!json.contains("prompt") || !json.at("prompt").is_string()) refuse(line, "no text 'prompt' in it");
  line.prompt = json.at("prompt");
  for (const auto& [key, value] : json.items()) {
    if (key == "prompt") continue;
    set(line, key, known, value.is_null() ? std::nullopt : std::optional(flag_text(line, key, value)));
  }
}

}  // namespace

std::vector<PromptsLine> prompts_in(const std::string& text, const std::string& name, const std::vector<std::string>& known) {
  std::vector<PromptsLine> lines;
  std::istringstream stream(text.starts_with(kByteOrderMark) ? text.substr(3) : text);
  int64_t number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    const size_t first = line.find_first_not_of(" \t");
    if (first == std::string::npos || line[first] == '#') continue;
    PromptsLine read{name + ":" + std::to_string(number), line, {}};
    if (line[first] == '{') read_json(read, line, known);
    lines.push_back(std::move(read));
  }
  if (lines.empty()) throw UsageError("--prompts " + in_quotes(name) + ": no prompt in it; wanted one a line");
  return lines;
}

}  // namespace steplapse
