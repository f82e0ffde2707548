#include "cli/sweep_values.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/text.h"
#include "cli/flag_values.h"
#include "steplapse/error.h"
#include "studies/sweep/sweep_plan.h"

namespace steplapse {
namespace {

/// A decimal number, exactly: digits times 10^-decimals.
struct Decimal {
  __int128 digits = 0;
  int decimals = 0;
};

std::optional<Decimal> decimal_in(const std::string& text) {
  constexpr size_t kMostDigits = 21;  // 2^64 has 20
  const bool negative = text.starts_with('-');
  Decimal number;
  bool after_point = false;
  size_t digits = 0;
  for (const char c : text.substr(negative ? 1 : 0)) {
    if (c == '.' && !after_point) {
      after_point = true;
    } else if (c >= '0' && c <= '9' && ++digits <= kMostDigits) {
      number.digits = 10 * number.digits + (c - '0');
      if (after_point) ++number.decimals;
    } else {
      return std::nullopt;
    }
  }
  if (digits == 0) return std::nullopt;
  if (negative) number.digits = -number.digits;
  return number;
}

__int128 digits_at(const Decimal& number, int decimals) {
  __int128 digits = number.digits;
  for (int i = number.decimals; i < decimals; ++i) digits *= 10;
  return digits;
}

std::string decimal_text(__int128 digits, int decimals) {
  for (; decimals > 0 && digits % 10 == 0; --decimals) digits /= 10;
  const bool negative = digits < 0;
  if (negative) digits = -digits;
  std::string text;
  for (int i = 0; digits > 0 || i <= decimals; ++i, digits /= 10) {
    if (i == decimals && i > 0) text += '.';
    text += static_cast<char>('0' + static_cast<int>(digits % 10));
  }
  if (negative) text += '-';
  return {text.rbegin(), text.rend()};
}

[[noreturn]] void refuse_range(const std::string& flag, const std::string& text, const std::string& why) {
  throw UsageError(flag + " " + in_quotes(text) + ": " + why);
}

Decimal range_number(const std::string& flag, const std::string& range, const std::string& text) {
  if (const auto number = decimal_in(text)) return *number;
  refuse_range(flag, range, "expected a range A..B or A..B:STEP of plain numbers, as 5..50:5");
}

void add_range(const std::string& flag, const std::string& text, std::vector<std::string>& values) {
  const size_t dots = text.find(".."), colon = text.find(':', dots);
  const std::string end_text = text.substr(dots + 2, colon == std::string::npos ? colon : colon - dots - 2);
  const Decimal from = range_number(flag, text, text.substr(0, dots)), to = range_number(flag, text, end_text);
  const Decimal step = colon == std::string::npos ? Decimal{1, 0} : range_number(flag, text, text.substr(colon + 1));
  const int decimals = std::max({from.decimals, to.decimals, step.decimals});
  if (decimals > 15) refuse_range(flag, text, "expected numbers of at most 15 decimals");
  const __int128 first = digits_at(from, decimals), last = digits_at(to, decimals), by = digits_at(step, decimals);
  if (by == 0) refuse_range(flag, text, "a step of 0 never comes to the end; expected one above 0");
  if (by < 0) refuse_range(flag, text, "expected a step above 0; ranges count up");
  if (first > last)
    refuse_range(
        flag, text,
        "is empty: it begins above its end, and ranges count up; write " + end_text + ".." + text.substr(0, dots));
  if ((last - first) / by >= static_cast<__int128>(SweepPlan::kMostCells))
    refuse_range(flag, text, "has more values than " + std::to_string(SweepPlan::kMostCells));
  for (__int128 value = first; value <= last; value += by) values.push_back(decimal_text(value, decimals));
}

void refuse_repeated(const std::string& flag, const std::vector<std::string>& values) {
  std::set<std::string> seen;
  for (const std::string& value : values) {
    if (!seen.insert(value).second) throw UsageError(flag + ": " + in_quotes(value) + " is given twice");
  }
}

}  // namespace

std::vector<std::string> axis_values(const std::string& flag, const std::string& text, AxisValues how) {
  if (how == AxisValues::whole) return {text};
  std::vector<std::string> values;
  for (const std::string& item : list_of(text)) {
    if (item.empty()) throw UsageError(flag + " " + in_quotes(text) + ": an empty value; expected one between commas");
    if (how == AxisValues::numbers && item.find("..") != std::string::npos) {
      add_range(flag, item, values);
    } else {
      values.push_back(item);
    }
  }
  refuse_repeated(flag, values);
  return values;
}

std::vector<std::string> quoted_list(const std::string& flag, const std::string& text) {
  std::vector<std::string> items(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"' && (quoted || items.back().empty())) {
      const bool doubled = quoted && i + 1 < text.size() && text[i + 1] == '"';
      if (doubled) items.back() += text[i++];
      if (!doubled) quoted = !quoted;
    } else if (text[i] == ',' && !quoted) {
      items.emplace_back();
    } else {
      items.back() += text[i];
    }
  }
  if (quoted) throw UsageError(flag + " " + in_quotes(text) + ": the quote is not closed");
  refuse_repeated(flag, items);
  return items;
}

}  // namespace steplapse
