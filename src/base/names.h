#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace steplapse {

/// The row of a table that has this name.
/// @param what       of what it is a name: "sampler"
/// @param otherwise  the way out where no name is near: "see steplapse samplers"
/// @throws std::invalid_argument  no row has it; with the nearest name, if one is near
template <typename Table>
const typename Table::value_type& find_named(const Table& table, std::string_view name, std::string_view what,
                                             std::string_view otherwise) {
  std::vector<std::string> names;
  for (const auto& row : table) {
    if (row.name == name) return row;
    names.emplace_back(row.name);
  }
  const auto meant = nearest(name, names);
  throw std::invalid_argument("unknown " + std::string(what) + " " + in_quotes(name) + ", " +
                              (meant ? "did you mean " + in_quotes(*meant) + "?" : std::string(otherwise)));
}

}  // namespace steplapse
