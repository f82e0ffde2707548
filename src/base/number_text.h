#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace steplapse {

/// A number with at most so many significant digits, for people.
std::string rounded_text(double number, int digits);

/// With so many decimals.
std::string fixed_text(double number, int decimals);

/// The shortest decimals that read back as the same double, for files. None: "".
std::string exact_text(const std::optional<double>& number);

/// A text as a CSV field in quotes (RFC 4180).
std::string csv_text(std::string_view text);

}  // namespace steplapse
