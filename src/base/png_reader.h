#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace steplapse {

/// What is in a PNG file of any tool: its pixels as 8-bit RGB, [height, width, 3], and its texts (tEXt, zTXt, iTXt) as
/// UTF-8 by keyword; of texts with one keyword the first.
struct PngContent {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> rgb;
  std::map<std::string, std::string> texts;
};

/// Reads a file that the user named.
/// @throws UsageError  it cannot be read, is no PNG or a damaged one, or has more than 2^26 pixels
PngContent read_png(const std::filesystem::path& path);

}  // namespace steplapse
