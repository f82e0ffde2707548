#pragma once

#include <bit>
#include <cstdint>
#include <string>

namespace steplapse {

using namespace std::string_literals;

// A sentencepiece model by hand: in protobuf's wire format (each field its number and type in a byte, then the value)
// a model is a list of pieces (1), a piece its text (1), score (2) and type (3; 1 normal, 2 unknown, 3 control).
inline std::string piece(const std::string& text, float score, char type = 1) {
  std::string fields = "\x0a"s + static_cast<char>(text.size()) + text + "\x15";
  for (int shift = 0; shift < 32; shift += 8) fields += static_cast<char>(std::bit_cast<uint32_t>(score) >> shift);
  fields += "\x18"s + type;
  return "\x0a"s + static_cast<char>(fields.size()) + fields;
}

// Unigram: of all ways to cut a text the one with the greatest sum of scores. _ is the space of sentencepiece.
inline const std::string _ = "\u2581";
inline const std::string kModel = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) +  // 0 1 2
                                  piece(_ + "red", -2) + piece(_ + "app", -3) + piece("le", -3) +    // 3 4 5
                                  piece(_ + "apple", -7) + piece("s", -1) + piece(_, -4) +           // 6 7 8
                                  piece("a", -5) + piece("\u00e9", -5) + piece(_ + "pie", -2);       // 9 10 11

}  // namespace steplapse
