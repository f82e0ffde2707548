#pragma once

#include <string_view>

namespace steplapse {

/// Checks a model of sentencepiece before that library loads it. The library believes what the file says: its normalization
/// table is a graph of places, and a lookup goes to wherever it points, in this process's memory.
///
/// What the library's trainer writes is taken: a message of known fields, each once; pieces that are texts; a table in which
/// no lookup leaves the table, all texts end inside, and no more rules begin alike than the library has room for.
///
/// Source: sentencepiece_model.proto and normalizer.cc of sentencepiece 0.1.97; the units of Darts-clone 0.32.
/// @throws std::invalid_argument  what is wrong, without the file's name
void check_sentencepiece_model(std::string_view bytes);

}  // namespace steplapse
