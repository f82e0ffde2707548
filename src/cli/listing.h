#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace steplapse {

// Lists with a column of names, for terminals of any width.

/// A line of a list and what belongs to it, in a column of its own where the terminal is wide enough.
std::string folded(std::string_view text, size_t column, size_t begins);

/// As folded, with no name broken at a blank of its own.
std::string folded_names(const std::string& before, std::vector<std::string> names, size_t column, size_t begins);

}  // namespace steplapse
