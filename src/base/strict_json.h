#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace steplapse {

/// JSON from a file nobody has checked: a key that comes twice and nesting deeper than 16 are errors, as is anything
/// that is not JSON.
/// @throws std::invalid_argument  what is wrong, and where
nlohmann::json parse_strict_json(std::string_view text);

/// A value as it may be shown in a message: ASCII, on one line, at most some 60 characters.
std::string shown(const nlohmann::json& value);

}  // namespace steplapse
