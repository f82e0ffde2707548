#pragma once

#include <string>
#include <string_view>

namespace steplapse {

/// SHA-256 (FIPS 180-4) as 64 lower-case hex digits.
std::string sha256(std::string_view bytes);

/// The same of a whole file, from its first byte; the descriptor's position stays as it was.
/// @throws std::system_error  when it can't be read
std::string sha256_of_descriptor(int descriptor);

}  // namespace steplapse
