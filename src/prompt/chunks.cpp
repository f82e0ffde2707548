#include "prompt/chunks.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "base/aten.h"

namespace steplapse {
namespace {

constexpr size_t kCommaReach = 20;  // pieces

bool is_comma(const Manifest::Tokenizer& spec, const Piece& piece) {
  if (spec.kind == TokenizerKind::clip_bpe) return piece.text == ",</w>";
  return piece.text == "," || piece.text == "\u2581,";
}

/// Takes the pieces after the first `count` out of a chunk.
Chunk split_off(Chunk& chunk, size_t count) {
  const auto from = static_cast<ptrdiff_t>(count);
  Chunk rest;
  std::move(chunk.pieces.begin() + from, chunk.pieces.end(), std::back_inserter(rest.pieces));
  rest.weights.assign(chunk.weights.begin() + from, chunk.weights.end());
  chunk.pieces.erase(chunk.pieces.begin() + from, chunk.pieces.end());
  chunk.weights.erase(chunk.weights.begin() + from, chunk.weights.end());
  return rest;
}

/// Fills chunks piece by piece.
class ChunkFiller {
 public:
  ChunkFiller(const Manifest::Tokenizer& spec, int64_t max_chunks, size_t comma_reach)
      : spec_(spec),
        room_(room_in_chunk(spec)),
        max_chunks_(static_cast<size_t>(max_chunks)),
        comma_reach_(comma_reach) {}

  /// @return false where the last chunk is full
  bool add(const Piece& piece, double weight) {
    const bool full = current_.pieces.size() == room_;
    if (is_comma(spec_, piece)) {
      last_comma_ = current_.pieces.size();
    } else if (full && last_comma_ && room_ - *last_comma_ <= comma_reach_ && !is_last()) {
      Chunk rest = split_off(current_, *last_comma_ + 1);
      next_chunk();
      current_ = std::move(rest);
    }
    if (current_.pieces.size() == room_) {
      if (is_last()) return false;
      next_chunk();
    }
    current_.pieces.push_back(piece);
    current_.weights.push_back(weight);
    return true;
  }

  /// @return false where there is no further chunk to start
  bool start_chunk() {
    if (is_last()) return false;
    next_chunk();
    return true;
  }

  std::vector<Chunk> finished() {
    if (!current_.pieces.empty() || chunks_.empty()) next_chunk();
    return std::move(chunks_);
  }

 private:
  bool is_last() const { return chunks_.size() + 1 == max_chunks_; }

  void next_chunk() {
    chunks_.push_back(std::exchange(current_, {}));
    last_comma_.reset();
  }

  const Manifest::Tokenizer& spec_;
  const size_t room_, max_chunks_, comma_reach_;
  std::vector<Chunk> chunks_;
  Chunk current_;
  std::optional<size_t> last_comma_;  // in the current chunk
};

/// The words from a byte of a part on, without white space at the start.
std::string words_from(const std::vector<PromptPart>& parts, size_t part, size_t byte) {
  std::vector<PromptPart> rest(parts.begin() + static_cast<ptrdiff_t>(part), parts.end());
  rest.front().text.erase(0, byte);
  const std::string text = text_of(rest);
  return text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

ChunkedPrompt fill_chunks(const Tokenizer& tokenizer, const std::vector<PromptPart>& parts, int64_t max_chunks,
                          size_t comma_reach) {
  ChunkFiller filler(tokenizer.spec(), max_chunks, comma_reach);
  ChunkedPrompt prompt;
  bool no_chunk_left = false;
  for (size_t i = 0; i < parts.size() && prompt.dropped_words.empty(); ++i) {
    if (parts[i].starts_chunk && !filler.start_chunk()) no_chunk_left = true;
    for (const Piece& piece : tokenizer.pieces(parts[i].text)) {
      if (!filler.add(piece, parts[i].weight)) {
        prompt.dropped_words = words_from(parts, i, piece.begin);
        break;
      }
      if (no_chunk_left) prompt.break_ignored = true;
    }
  }
  prompt.chunks = filler.finished();
  return prompt;
}

/// A tensor [1, K, L] with a row for each chunk.
template <class Row>
Tensor tensor_of(const Manifest::Tokenizer& spec, const std::vector<Chunk>& chunks, at::ScalarType dtype, Row row_of) {
  decltype(row_of(spec, Chunk{})) all;
  for (const Chunk& chunk : chunks) {
    const auto row = row_of(spec, chunk);
    all.insert(all.end(), row.begin(), row.end());
  }
  return at::tensor(all, dtype).view({1, static_cast<int64_t>(chunks.size()), spec.length});
}

}  // namespace

ChunkedPrompt chunked(const Tokenizer& tokenizer, const std::vector<PromptPart>& parts, int64_t max_chunks) {
  ChunkedPrompt prompt = fill_chunks(tokenizer, parts, max_chunks, kCommaReach);
  // Tokens that moved to the next chunk left room behind, which the last words need.
  if (!prompt.dropped_words.empty() && max_chunks > 1) prompt = fill_chunks(tokenizer, parts, max_chunks, 0);
  return prompt;
}

size_t room_in_chunk(const Manifest::Tokenizer& spec) {
  return static_cast<size_t>(spec.length - (spec.bos ? 1 : 0) - (spec.eos ? 1 : 0));
}

std::vector<int64_t> ids_of(const Manifest::Tokenizer& spec, const Chunk& chunk) {
  std::vector<int64_t> ids;
  if (spec.bos) ids.push_back(*spec.bos);
  for (const Piece& piece : chunk.pieces) ids.push_back(piece.id);
  if (spec.eos) ids.push_back(*spec.eos);
  ids.resize(static_cast<size_t>(spec.length), spec.pad);
  return ids;
}

std::vector<double> weights_of(const Manifest::Tokenizer& spec, const Chunk& chunk) {
  std::vector<double> weights;
  if (spec.bos) weights.push_back(1);
  weights.insert(weights.end(), chunk.weights.begin(), chunk.weights.end());
  weights.resize(static_cast<size_t>(spec.length), 1);
  return weights;
}

Tensor ids_tensor(const Manifest::Tokenizer& spec, const std::vector<Chunk>& chunks) {
  return tensor_of(spec, chunks, at::kLong, ids_of);
}

Tensor weights_tensor(const Manifest::Tokenizer& spec, const std::vector<Chunk>& chunks) {
  return tensor_of(spec, chunks, at::kFloat, weights_of);
}

}  // namespace steplapse
