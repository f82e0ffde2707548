#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

namespace steplapse {

/// JSON's null for what is not there, and for what JSON has no number for: infinity and NaN.
template <typename Value>
nlohmann::ordered_json or_null(const std::optional<Value>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

inline nlohmann::ordered_json finite_or_null(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}

}  // namespace steplapse
