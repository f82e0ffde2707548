#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace steplapse {

/// Parses JSON from an untrusted file. Stricter than JSON: no key may stand twice in one object, and values may be
/// nested 16 levels deep.
/// @throws std::invalid_argument  what is wrong and where, to follow the file's name: "is not JSON: wrong at byte 3 of
///                                9"
nlohmann::json parse_strict_json(std::string_view text);
nlohmann::ordered_json parse_strict_ordered_json(std::string_view text);  ///< keys stay as they stand

/// A value for a message: ASCII, one line, at most about 60 characters.
std::string shown(const nlohmann::json& value);

}  // namespace steplapse
