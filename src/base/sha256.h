#pragma once

#include <string>
#include <string_view>

namespace steplapse {

/// SHA-256 (FIPS 180-4) as 64 lower-case hex digits.
std::string sha256(std::string_view bytes);

/// SHA-256 of a whole open file, as `sha256` gives it. The descriptor's position does not change.
/// @throws std::system_error  the file cannot be read
std::string sha256_of_descriptor(int descriptor);

}  // namespace steplapse
