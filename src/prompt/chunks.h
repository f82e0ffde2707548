#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/tokenizer.h"
#include "prompt/syntax.h"
#include "steplapse/tensor.h"

namespace steplapse {

/// What stands between bos and eos in one window of a text encoder.
struct Chunk {
  std::vector<Piece> pieces;
  std::vector<double> weights;  ///< one a piece
};

struct ChunkedPrompt {
  std::vector<Chunk> chunks;  ///< at least one
  std::string cut;            ///< the words that found no room
  bool passed_break = false;  ///< words go on in the last chunk though a BREAK before them asked for another
};

/// Deals a prompt's pieces out to chunks. Each part is cut into pieces alone. Where a chunk fills up and its last comma
/// is one of the last 20 pieces, what stands after the comma moves on to the next chunk, unless that cuts words off.
///
/// @param parts       what parse_syntax gives
/// @param max_chunks  1 or more: what is beyond is cut
///
/// Source: the dealing of AUTOMATIC1111's web UI (tokenize_line, comma_padding_backtrack = 20).
ChunkedPrompt chunked(const Tokenizer& tokenizer, const std::vector<PromptPart>& parts, int64_t max_chunks);

/// How many pieces a chunk takes.
size_t room_in_chunk(const Manifest::Tokenizer& spec);

/// [bos] pieces... [eos] pad..., and a weight for each: 1 where no piece is.
std::vector<int64_t> ids_of(const Manifest::Tokenizer& spec, const Chunk& chunk);
std::vector<double> weights_of(const Manifest::Tokenizer& spec, const Chunk& chunk);

/// The same of several chunks, for the text encoder: int64 and float32 [1, K, L].
Tensor ids_tensor(const Manifest::Tokenizer& spec, const std::vector<Chunk>& chunks);
Tensor weights_tensor(const Manifest::Tokenizer& spec, const std::vector<Chunk>& chunks);

}  // namespace steplapse
