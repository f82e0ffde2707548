#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace steplapse::test_support {

// A normalization table of sentencepiece by hand: "A" becomes "a", "AB" becomes "ab". From place 1, A leads to unit 0x40, and
// its offset from there to place 0x80, where the rule ends; from there B leads to unit 0xc2, and on to place 0x10.

inline uint32_t table_unit(uint32_t label, bool ends_rule, uint32_t offset) {
  return label | (ends_rule ? 1u << 8 : 0u) | offset << 10;
}
inline uint32_t table_text(uint32_t begin) { return 1u << 31 | begin; }

/// The units that lookups come to.
inline std::vector<size_t> small_table_places() { return {0, 1 ^ 'A', 0x80, 0x80 ^ 'B', 0x10}; }

inline std::string small_table_units() {
  std::vector<uint32_t> units(256, table_text(0));  // no character's label
  units[0] = table_unit(0, false, 1);
  units[1 ^ 'A'] = table_unit('A', true, 1 ^ 'A' ^ 0x80);
  units[0x80] = table_text(0);
  units[0x80 ^ 'B'] = table_unit('B', true, 0x80 ^ 'B' ^ 0x10);
  units[0x10] = table_text(2);
  return {reinterpret_cast<const char*>(units.data()), 4 * units.size()};
}
inline std::string small_table_texts() { return std::string("a\0ab\0", 5); }

/// In protobuf's wire format.
inline std::string message_field(int number, const std::string& bytes) {
  std::string field(1, static_cast<char>(number << 3 | 2));
  size_t size = bytes.size();
  for (; size >= 0x80; size >>= 7) field += static_cast<char>(size | 0x80);
  return field + static_cast<char>(size) + bytes;
}

/// The field of a model that has its normalizer.
/// @param others  fields of the normalizer
inline std::string normalizer_of(const std::string& units, const std::string& texts, const std::string& others = "") {
  const auto size = static_cast<uint32_t>(units.size());
  std::string table(reinterpret_cast<const char*>(&size), 4);
  return message_field(3, message_field(2, table + units + texts) + others);
}

}  // namespace steplapse::test_support
