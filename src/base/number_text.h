#pragma once

#include <charconv>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/text.h"

namespace steplapse {

/// A number with at most so many significant digits, for people.
std::string rounded_text(double number, int digits);

/// With so many decimals.
std::string fixed_text(double number, int decimals);

/// The shortest decimals that read back as the same double, for files. None: "".
std::string exact_text(const std::optional<double>& number);

/// The whole number that is all of a text, as files have it. @throws std::invalid_argument  it is none, or out of range
template <typename Number>
Number whole_number(std::string_view text) {
  Number number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) throw std::invalid_argument(in_quotes(text, 40) + " is no number");
  return number;
}

/// A text as a CSV field in quotes (RFC 4180).
std::string csv_text(std::string_view text);

}  // namespace steplapse
