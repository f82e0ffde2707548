#pragma once

#include <string>
#include <vector>

#include "cli/setting_reader.h"

namespace steplapse {

/// What a flag of a sweep lists: 5,10,20 or 5..50:5 or both mixed, ends included; names at commas; or the text itself.
/// Ranges are counted in decimals: 0.6..1.6:0.2 has 0.8, not 0.8000000000000000444.
/// @throws UsageError  an empty value, one given twice, a backward range, a step of 0
std::vector<std::string> axis_values(const std::string& flag, const std::string& text, AxisValues how);

/// Texts with commas between, which may stand in "double quotes" (with "" for a quote in it).
std::vector<std::string> quoted_list(const std::string& flag, const std::string& text);

}  // namespace steplapse
