#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "base/text.h"
#include "plan/picture_settings.h"
#include "plan/presets.h"

namespace steplapse {
namespace {

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r\n"), end = text.find_last_not_of(" \t\r\n");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

/// "Steps: 20, Sampler: Euler a, Model: \"a, b\"": a value in quotes is a JSON string.
std::map<std::string, std::string> fields_of(const std::string& line) {
  std::map<std::string, std::string> fields;
  size_t at = 0;
  while (at < line.size()) {
    const size_t colon = line.find(':', at);
    if (colon == std::string::npos) break;
    const std::string name = trimmed(line.substr(at, colon - at));
    size_t begin = line.find_first_not_of(' ', colon + 1), end = line.find(',', colon + 1);
    if (begin != std::string::npos && line[begin] == '"') {
      size_t quote = begin + 1;
      while (quote < line.size() && line[quote] != '"') quote += line[quote] == '\\' ? 2 : 1;
      end = line.find(',', std::min(quote, line.size()));
      const auto text = nlohmann::json::parse(line.substr(begin, quote + 1 - begin), nullptr, false);
      fields[name] = text.is_string() ? text.get<std::string>() : "";
    } else {
      fields[name] = trimmed(line.substr(colon + 1, end == std::string::npos ? end : end - colon - 1));
    }
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return fields;
}

/// The prompt without its <lora:NAME:WEIGHT> and <hypernet:…> tags.
std::string without_networks(const std::string& prompt, std::vector<std::string>& without) {
  std::string text = prompt;
  for (const std::string tag : {"<lora:", "<lyco:", "<hypernet:"}) {
    for (size_t begin = text.find(tag); begin != std::string::npos; begin = text.find(tag, begin)) {
      const size_t end = text.find('>', begin);
      if (end == std::string::npos) break;
      without.push_back(text.substr(begin, end + 1 - begin));
      text.erase(begin, end + 1 - begin);
    }
  }
  return trimmed(text);
}

double number_in(const std::string& name, const std::string& text) {
  double value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && rest == text.data() + text.size()) return value;
  throw std::invalid_argument(in_quotes(name + ": " + text) + " is not a number");
}

uint64_t integer_in(const std::string& name, const std::string& text) {
  uint64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && rest == text.data() + text.size()) return value;
  throw std::invalid_argument(in_quotes(name + ": " + text) + " is not a number of 0 or more");
}

class Reader {
 public:
  explicit Reader(const std::string& text) {
    picture_.tool = "A1111";
    std::istringstream lines(text);
    std::vector<std::string> all;
    for (std::string line; std::getline(lines, line);) all.push_back(line);
    while (!all.empty() && trimmed(all.back()).empty()) all.pop_back();
    if (!all.empty()) fields_ = fields_of(all.back());
    if (fields_.size() < 3 || !fields_.contains("Steps"))
      throw std::invalid_argument("its last line is not A1111's \"Steps: 20, Sampler: Euler a, …\"");
    all.pop_back();
    prompts(all);
  }

  PictureSettings read() {
    Settings& settings = picture_.settings;
    settings.steps = static_cast<int64_t>(integer_in("Steps", take("Steps")));
    if (has("Seed")) settings.seed = integer_in("Seed", take("Seed"));
    if (has("CFG scale")) settings.guidance_scale = number_in("CFG scale", take("CFG scale"));
    if (has("CFG Rescale")) settings.guidance_rescale = number_in("CFG Rescale", take("CFG Rescale"));
    size();
    sampler();
    options();
    rng();
    rest();
    return std::move(picture_);
  }

 private:
  bool has(const std::string& name) const { return fields_.contains(name); }
  std::string take(const std::string& name) {
    const std::string value = fields_.at(name);
    fields_.erase(name);
    return value;
  }

  void prompts(const std::vector<std::string>& lines) {
    constexpr std::string_view kNegative = "Negative prompt:";
    std::vector<std::string> prompt, negative;
    bool is_negative = false;
    for (const std::string& line : lines) {
      if (!is_negative && trimmed(line).starts_with(kNegative)) {
        is_negative = true;
        negative.push_back(trimmed(trimmed(line).substr(kNegative.size())));
      } else {
        (is_negative ? negative : prompt).push_back(line);
      }
    }
    picture_.settings.prompt = without_networks(joined(prompt, "\n"), picture_.without);
    if (is_negative) picture_.settings.negative_prompt = without_networks(joined(negative, "\n"), picture_.without);
  }

  void size() {
    if (!has("Size")) return;
    const std::string text = take("Size");
    const size_t cross = text.find('x');
    if (cross == std::string::npos) throw std::invalid_argument(in_quotes("Size: " + text) + " is not WIDTHxHEIGHT");
    picture_.settings.size = Manifest::Size{static_cast<int64_t>(integer_in("Size", text.substr(0, cross))),
                                            static_cast<int64_t>(integer_in("Size", text.substr(cross + 1)))};
  }

  /// Since 1.9 the schedule has a field of its own; before, it was part of the sampler's name.
  void sampler() {
    const std::string said = has("Sampler") ? take("Sampler") : "";
    const std::string schedule = has("Schedule type") ? take("Schedule type") : "";
    if (said.empty()) {
      picture_.guessed.emplace_back("`sampler`: the bundle's, for none is said");
    } else {
      try {
        preset_named("a1111:" + said);
        picture_.settings.sampler = "a1111:" + said;
        if (const auto shortfall = shortfall_of("a1111:" + said); !shortfall.empty())
          picture_.without.push_back(said + " exactly: here it " + std::string(shortfall));
      } catch (const std::invalid_argument&) {
        picture_.guessed.push_back("`sampler`: the bundle's, for " + in_quotes(said) + " is not known here");
      }
    }
    if (schedule.empty() || schedule == "Automatic") return;
    try {
      schedule_of_other_tool("a1111:" + schedule);
      picture_.settings.schedule = "a1111:" + schedule;
    } catch (const std::invalid_argument&) {
      picture_.guessed.push_back("`schedule`: the sampler's usual one, for " + in_quotes(schedule) +
                                 " is not known here");
    }
  }

  void options() {
    Settings& settings = picture_.settings;
    const std::pair<const char*, std::optional<double>*> numbers[] = {{"Schedule max sigma", &settings.sigma_max},
                                                                      {"Schedule min sigma", &settings.sigma_min},
                                                                      {"Schedule rho", &settings.rho},
                                                                      {"Eta", &settings.eta},
                                                                      {"Eta DDIM", &settings.eta},
                                                                      {"Sigma churn", &settings.s_churn},
                                                                      {"Sigma tmin", &settings.s_tmin},
                                                                      {"Sigma tmax", &settings.s_tmax},
                                                                      {"Sigma noise", &settings.s_noise}};
    for (const auto& [name, field] : numbers) {
      if (has(name)) *field = number_in(name, take(name));
    }
    if (has("Emphasis") && take("Emphasis") == "None") settings.prompt_syntax = PromptSyntax::plain;
  }

  void rng() {
    if (!has("RNG")) {
      picture_.settings.rng = Rng::philox;
      picture_.guessed.emplace_back("`rng` philox, A1111's own on NVIDIA cards, for no RNG is said");
    } else {
      picture_.settings.rng = lower_case(take("RNG")) == "cpu" ? Rng::cpu : Rng::philox;
    }
  }

  /// What says nothing of how to draw is left aside in silence.
  void rest() {
    for (const char* known :
         {"Model", "Model hash", "VAE", "VAE hash", "Version", "Hashes", "Lora hashes", "TI hashes", "Batch size",
          "Batch pos", "Created Date", "User", "Template", "Negative Template", "Step"})
      fields_.erase(known);
    if (has("Clip skip") && fields_.at("Clip skip") == "1") fields_.erase("Clip skip");
    std::vector<std::string> hires;
    for (const auto& [name, value] : fields_) {
      if (name.starts_with("Hires"))
        hires.push_back(name);
      else
        picture_.without.push_back(name + ": " + value);
    }
    if (!hires.empty()) picture_.without.emplace_back("hires fix");
  }

  PictureSettings picture_;
  std::map<std::string, std::string> fields_;
};

}  // namespace

PictureSettings settings_of_a1111(const std::string& text) { return Reader(text).read(); }

}  // namespace steplapse
