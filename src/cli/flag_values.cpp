#include "cli/flag_values.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

template <typename Number>
std::optional<Number> parsed(const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

[[noreturn]] void refuse(const std::string& flag, const std::string& text, const std::string& wanted) {
  throw UsageError(flag + " " + in_quotes(text) + ": expected " + wanted);
}

}  // namespace

int64_t integer_number(const std::string& flag, const std::string& text, int64_t least, int64_t most) {
  const auto value = parsed<int64_t>(text);
  if (value && *value >= least && *value <= most) return *value;
  refuse(flag, text,
         most == std::numeric_limits<int64_t>::max()
             ? "an integer of " + std::to_string(least) + " or more"
             : "an integer from " + std::to_string(least) + " to " + std::to_string(most));
}

uint64_t seed_number(const std::string& flag, const std::string& text) {
  if (const auto value = parsed<uint64_t>(text)) return *value;
  if (text == "-1") return random_seed();
  refuse(flag, text,
         "an integer from 0 to " + std::to_string(std::numeric_limits<uint64_t>::max()) + ", or -1 for a random one");
}

double real_number(const std::string& flag, const std::string& text, double least, double most) {
  const auto value = parsed<double>(text);
  if (value && std::isfinite(*value) && *value >= least && *value <= most) return *value;
  std::ostringstream wanted;
  wanted << "a number ";
  if (std::isinf(most)) {
    wanted << "of " << least << " or more";
  } else {
    wanted << "from " << least << " to " << most;
  }
  refuse(flag, text, wanted.str());
}

Manifest::Size size_of(const std::string& flag, const std::string& text) {
  const auto cross = text.find_first_of("xX*");
  if (cross != std::string::npos) {
    const auto width = parsed<int64_t>(text.substr(0, cross)), height = parsed<int64_t>(text.substr(cross + 1));
    if (width && height && *width > 0 && *height > 0) return {*width, *height};
  }
  const auto side = parsed<int64_t>(text);
  refuse(flag, text, "WIDTHxHEIGHT in pixels, as " + (side && *side > 0 ? text + "x" + text : "512x768"));
}

std::vector<std::string> list_of(const std::string& text) {
  std::vector<std::string> items;
  std::istringstream rest(text);
  for (std::string item; std::getline(rest, item, ',');) items.push_back(item);
  if (items.empty() || text.back() == ',') items.emplace_back();
  return items;
}

std::vector<double> numbers_of(const std::string& flag, const std::string& text, const std::string& example) {
  std::vector<double> numbers;
  for (const auto& item : list_of(text)) {
    const auto number = parsed<double>(item);
    if (!number || !std::isfinite(*number)) refuse(flag, text, "numbers with commas between, as " + example);
    numbers.push_back(*number);
  }
  return numbers;
}

namespace {

/// LOW..HIGH, where either may be left out.
template <typename Number>
Settings::Interval interval_of(const std::string& flag, const std::string& text, double open_low,
                               const std::string& expected) {
  const auto dots = text.find("..");
  if (dots == std::string::npos || text == "..") refuse(flag, text, expected);
  const auto end = [&](const std::string& number, double open) {
    if (number.empty()) return open;
    const auto value = parsed<Number>(number);
    if (!value || !std::isfinite(static_cast<double>(*value))) refuse(flag, text, expected);
    return static_cast<double>(*value);
  };
  return {end(text.substr(0, dots), open_low), end(text.substr(dots + 2), std::numeric_limits<double>::infinity())};
}

}  // namespace

Settings::Interval step_interval_of(const std::string& flag, const std::string& text) {
  return interval_of<int64_t>(flag, text, 1, "steps A..B, as 3..20");
}

Settings::Interval sigma_interval_of(const std::string& flag, const std::string& text) {
  return interval_of<double>(flag, text, 0, "sigmas LOW..HIGH, as 0.28..5.42");
}

std::set<int64_t> steps_of(const std::string& flag, const std::string& text) {
  std::set<int64_t> steps;
  for (const auto& item : list_of(text)) {
    const auto step = parsed<int64_t>(item);
    if (!step) refuse(flag, text, "step numbers with commas between, as 1,5,30");
    steps.insert(*step);
  }
  return steps;
}

std::string choice_of(const std::string& flag, const std::string& text, const std::vector<std::string>& choices) {
  std::string all;
  for (const auto& choice : choices) {
    if (choice == text) return text;
    all += (all.empty() ? "" : ", ") + choice;
  }
  const auto meant = nearest(text, choices);
  throw UsageError(flag + " " + in_quotes(text) + ": " + (meant ? "did you mean " + in_quotes(*meant) + "? " : "") +
                   "choose from " + all);
}

}  // namespace steplapse
