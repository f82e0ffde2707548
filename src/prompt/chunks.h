#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/tokenizer.h"
#include "prompt/syntax.h"
#include "steplapse/tensor.h"

namespace steplapse {

/// The tokens between bos and eos in one window of a text encoder.
struct Chunk {
  std::vector<Piece> pieces;
  std::vector<double> weights;  ///< one per piece
};

struct ChunkedPrompt {
  std::vector<Chunk> chunks;   ///< at least one
  std::string dropped_words;   ///< the words that did not fit; "": none
  bool break_ignored = false;  ///< whether words follow a BREAK for which there was no further chunk
};

/// Tokenizes each part separately and distributes the tokens over chunks. Where a chunk is full and its last comma is
/// among its last 20 tokens, the tokens after the comma move to the next chunk, unless words would then be dropped.
///
/// @param parts       as parse_syntax gives them
/// @param max_chunks  1 or more; words beyond are dropped
///
/// Source: AUTOMATIC1111's web UI (tokenize_line, comma_padding_backtrack = 20).
ChunkedPrompt chunked(const Tokenizer& tokenizer, const std::vector<PromptPart>& parts, int64_t max_chunks);

/// The most pieces in a chunk.
size_t room_in_chunk(const Manifest::Tokenizer& spec);

/// The ids of a chunk: [bos] pieces... [eos] pad..., spec.length of them; and the weight of each, which is 1 for bos,
/// eos and padding.
std::vector<int64_t> ids_of(const Manifest::Tokenizer& spec, const Chunk& chunk);
std::vector<double> weights_of(const Manifest::Tokenizer& spec, const Chunk& chunk);

/// The ids and weights of K chunks for the text encoder: int64 and float32 [1, K, L].
Tensor ids_tensor(const Manifest::Tokenizer& spec, const std::vector<Chunk>& chunks);
Tensor weights_tensor(const Manifest::Tokenizer& spec, const std::vector<Chunk>& chunks);

}  // namespace steplapse
