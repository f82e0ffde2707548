#pragma once

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"

namespace steplapse {

/// The row of a table whose `name` is this one.
/// @param what       what the table lists, in the singular: "sampler"
/// @param otherwise  the advice where no name is similar: "see steplapse samplers"
/// @throws std::invalid_argument  no row has this name; the text suggests the most similar one, if there is one
template <typename Table>
const typename Table::value_type& find_named(const Table& table, std::string_view name, std::string_view what,
                                             std::string_view otherwise) {
  std::vector<std::string> names;
  for (const auto& row : table) {
    if (row.name == name) return row;
    names.emplace_back(row.name);
  }
  throw std::invalid_argument("unknown " + std::string(what) + " " + in_quotes(name) +
                              did_you_mean(name, names, ", " + std::string(otherwise)));
}

/// The values of an enum with their names, as files and the command line spell them.
template <typename Value, size_t N>
using ValueNames = std::array<std::pair<std::string_view, Value>, N>;

/// The value that has this name.
/// @param what  what the enum stands for: "prediction type"
/// @throws std::invalid_argument  no value has this name; the text lists those that exist
template <typename Value, size_t N>
Value value_named(const ValueNames<Value, N>& names, std::string_view name, std::string_view what) {
  std::vector<std::string> choices;
  for (const auto& [known, value] : names) {
    if (known == name) return value;
    choices.emplace_back(known);
  }
  throw std::invalid_argument("unknown " + std::string(what) + " " + in_quotes(name) + "; choose from " +
                              joined(choices, ", "));
}

/// The name of a value.
/// @throws std::logic_error  the table lacks it
template <typename Value, size_t N>
std::string_view name_in(const ValueNames<Value, N>& names, Value value) {
  for (const auto& [name, known] : names) {
    if (known == value) return name;
  }
  throw std::logic_error("an enum's value without a name");
}

}  // namespace steplapse
