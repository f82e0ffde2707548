#include "cli/prompts_file.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/strict_json.h"
#include "base/text.h"
#include "cli/flag_words.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr const char* kByteOrderMark = "\xEF\xBB\xBF";

[[noreturn]] void refuse(const PromptsLine& line, const std::string& what) {
  throw UsageError(line.place + ": " + what);
}

/// The setting that a key names, which may be another tool's word for it.
std::string known_key(const PromptsLine& line, const std::string& key, const std::vector<std::string>& known) {
  const auto is_known = [&](const std::string& name) {
    return std::find(known.begin(), known.end(), name) != known.end();
  };
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
  std::string all = "prompt";
  for (const auto& name : known) all += ", " + name;
  refuse(line, "unknown key " + in_quotes(key) + did_you_mean(key, known, "; choose from " + all));
}

/// As a flag would have it: 7.5, trailing, 999,500.
std::string flag_text(const PromptsLine& line, const std::string& key, const nlohmann::json& value) {
  if (value.is_string()) return value;
  if (value.is_number()) return value.dump();
  if (!value.is_array() || value.empty()) {
    refuse(line, in_quotes(key) + " is " + shown(value) + ", expected a number, a text or a list of them");
  }
  std::string list;
  for (const auto& item : value) {
    if (item.is_array()) refuse(line, in_quotes(key) + " is " + shown(value) + ", expected a flat list");
    list += (list.empty() ? "" : ",") + flag_text(line, key, item);
  }
  return list;
}

void set(PromptsLine& line, const std::string& key, const std::vector<std::string>& known,
         const std::optional<std::string>& value) {
  const std::string name = known_key(line, key, known);
  if (!line.settings.emplace(name, value).second) refuse(line, in_quotes(name) + " is given twice");
}

void read_object(PromptsLine& line, const nlohmann::json& json, const std::vector<std::string>& known) {
  if (!json.contains("prompt") || !json.at("prompt").is_string()) refuse(line, "no text 'prompt' in it");
  line.prompt = json.at("prompt");
  for (const auto& [key, value] : json.items()) {
    if (key == "prompt") continue;
    set(line, key, known, value.is_null() ? std::nullopt : std::optional(flag_text(line, key, value)));
  }
}

void read_json(PromptsLine& line, const std::string& text, const std::vector<std::string>& known) {
  nlohmann::json json;
  try {
    json = parse_strict_json(text);
  } catch (const std::exception& error) {
    refuse(line, std::string(error.what()) +
                     "; a line that begins with { is taken for JSON, a prompt that begins so is written "
                     "{\"prompt\": \"{...\"}");
  }
  read_object(line, json, known);
}

/// Words of a line as a shell takes them apart: quotes of both kinds, and \\ before a character that is meant as it is.
std::vector<std::string> shell_words(const PromptsLine& line, const std::string& text) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && (c == ' ' || c == '\t')) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size() &&
               (quote == 0 || text[i + 1] == '"' || text[i + 1] == '\\')) {
      words.back() += text[++i];
    } else {
      words.back() += c;
    }
  }
  if (quote != 0) refuse(line, std::string("the quote ") + quote + " is not closed");
  return words;
}

/// As A1111's "Prompts from file or textbox" has it: --prompt "red apple" --steps 5; texts may go without quotes.
void read_flags(PromptsLine& line, const std::string& text, const std::vector<std::string>& known) {
  const std::vector<std::string> words = shell_words(line, text);
  bool has_prompt = false;
  for (size_t i = 0; i < words.size();) {
    std::string flag = words[i++];
    if (!flag.starts_with("--"))
      refuse(line, in_quotes(flag) + ": expected a flag there, as --steps 5; a text of several words wants quotes");
    std::optional<std::string> value;
    if (const auto equals = flag.find('='); equals != std::string::npos) {
      value = flag.substr(equals + 1);
      flag.resize(equals);
    } else if (i < words.size()) {
      value = words[i++];
    }
    if (!value) refuse(line, escaped(flag) + ": wants a value");
    const std::string key = flag.substr(2);
    if (key == "prompt" || key == "negative_prompt" || key == "negative-prompt") {
      while (i < words.size() && !words[i].starts_with("--")) *value += " " + words[i++];
    }
    if (key != "prompt") {
      set(line, key, known, value);
      continue;
    }
    if (has_prompt) refuse(line, "--prompt is given twice");
    has_prompt = true;
    line.prompt = *value;
  }
  if (!has_prompt)
    refuse(line,
           "no --prompt in it; a line that begins with -- has flags, and the prompt is one: --prompt \"red apple\" "
           "--steps 5");
}

/// "red apple --steps 5" would be drawn as it is written.
void refuse_flags_behind(const PromptsLine& line) {
  for (size_t at = line.prompt.find(" --"); at != std::string::npos; at = line.prompt.find(" --", at + 1)) {
    const size_t first = at + 3, end = std::min(line.prompt.find_first_of(" =", first), line.prompt.size());
    if (first >= line.prompt.size() || !std::isalpha(static_cast<unsigned char>(line.prompt[first]))) continue;
    refuse(line, "a prompt with " + in_quotes(line.prompt.substr(at + 1, end - at - 1)) +
                     " behind it; with flags the line is written --prompt \"red apple\" --steps 5, and a prompt that "
                     "has it as text is "
                     "written {\"prompt\": \"...\"}");
  }
}

/// The names of columns, as spreadsheets put them into the first line.
void refuse_table(const PromptsLine& line) {
  const std::string first = lower_case(line.prompt.substr(0, line.prompt.find_first_of(",;\t")));
  if (first.size() == line.prompt.size() || (first != "prompt" && first != "\"prompt\"")) return;
  refuse(line,
         "these look like the names of a table's columns; expected a prompt a line, or JSON as {\"prompt\": \"red "
         "apple\", \"steps\": 5}");
}

/// A file that is one JSON array, of prompts and of objects as lines have them.
std::vector<PromptsLine> prompts_in_array(const std::string& text, const std::string& name,
                                          const std::vector<std::string>& known) {
  nlohmann::json array;
  try {
    array = parse_strict_json(text);
  } catch (const std::exception& error) {
    throw UsageError("--prompts " + in_quotes(name) + ": " + error.what() +
                     "; a file that begins with [ is taken for a JSON array");
  }
  std::vector<PromptsLine> lines;
  for (const auto& item : array) {
    PromptsLine line{name + ": item " + std::to_string(lines.size() + 1), "", {}};
    if (item.is_string()) {
      line.prompt = item;
    } else if (item.is_object()) {
      read_object(line, item, known);
    } else {
      refuse(line, shown(item) + ": expected a prompt, or an object as {\"prompt\": \"red apple\", \"steps\": 5}");
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

/// A web UI's prompt may begin with [ too, as [red] apple.
bool is_json_array(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || text[first] != '[') return false;
  const size_t next = text.find_first_not_of(" \t\r\n", first + 1);
  return next != std::string::npos && (text[next] == '"' || text[next] == '{' || text[next] == ']');
}

}  // namespace

std::vector<PromptsLine> prompts_in(const std::string& text, const std::string& name,
                                    const std::vector<std::string>& known) {
  std::vector<PromptsLine> lines;
  const std::string content = text.starts_with(kByteOrderMark) ? text.substr(3) : text;
  const bool array = is_json_array(content);
  if (array) lines = prompts_in_array(content, name, known);
  std::istringstream stream(array ? "" : content);
  int64_t number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    const size_t first = line.find_first_not_of(" \t");
    if (first == std::string::npos || line[first] == '#') continue;
    PromptsLine read{name + ":" + std::to_string(number), line, {}};
    if (line[first] == '{') {
      read_json(read, line, known);
    } else if (line.compare(first, 2, "--") == 0) {
      read_flags(read, line, known);
    } else {
      if (lines.empty()) refuse_table(read);
      refuse_flags_behind(read);
    }
    lines.push_back(std::move(read));
  }
  if (lines.empty()) throw UsageError("--prompts " + in_quotes(name) + ": no prompt in it; expected one a line");
  return lines;
}

}  // namespace steplapse
