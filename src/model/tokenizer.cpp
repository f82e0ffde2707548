#include "model/tokenizer.h"

#include <sentencepiece_processor.h>

#include <stdexcept>
#include <utility>
#include <variant>

#include "base/text.h"
#include "model/clip_bpe.h"
#include "model/sentencepiece_check.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

/// The library's reason begins with a place in its source: "./src/x.cc(232) [condition] reason".
std::string reason_of(const sentencepiece::util::Status& status) {
  const std::string text = status.message();
  const size_t place = text.find(".cc("), end = text.rfind("] ");
  if (place == std::string::npos) return escaped(text, 200);
  return end == std::string::npos || end + 2 == text.size() ? "its parts are not those of one"
                                                            : escaped(text.substr(end + 2), 200);
}

class SentencePiece {
 public:
  SentencePiece(const Manifest::Tokenizer& spec, const std::vector<std::string>& files)
      : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
    try {
      check_sentencepiece_model(files.at(0));
    } catch (const std::invalid_argument& error) {
      throw BundleError(spec.files.at(0) + ": not a sentencepiece model: " + error.what());
    }
    const auto status = processor_->LoadFromSerializedProto({files.at(0).data(), files.at(0).size()});
    if (!status.ok()) {
      throw BundleError(spec.files.at(0) + ": not a sentencepiece model: " + reason_of(status));
    }
  }

  std::vector<Piece> pieces(std::string_view text) const {
    sentencepiece::ImmutableSentencePieceText found;
    const auto status = processor_->Encode({text.data(), text.size()}, found.mutable_proto());
    if (!status.ok()) throw std::runtime_error("the tokenizer failed: " + reason_of(status));

    std::vector<Piece> pieces;
    for (const auto& piece : found.pieces()) {
      const bool unknown = processor_->IsUnknown(static_cast<int>(piece.id()));
      pieces.push_back({piece.id(), piece.piece(), piece.begin(), unknown});
    }
    return pieces;
  }

 private:
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
};

void check_file_count(const Manifest::Tokenizer& spec) {
  const size_t expected = spec.kind == TokenizerKind::clip_bpe ? 2 : 1;
  if (spec.files.size() == expected) return;
  throw BundleError("tokenizer of kind '" + std::string(name_of(spec.kind)) + "' has " +
                    counted(static_cast<int64_t>(spec.files.size()), "file") + ", expected " +
                    std::to_string(expected));
}

}  // namespace

struct Tokenizer::Model {
  std::variant<SentencePiece, ClipBpe> kind;
};

Tokenizer::Tokenizer(const Manifest::Tokenizer& spec, const std::vector<std::string>& files) : spec_(spec) {
  check_file_count(spec);
  model_ = spec.kind == TokenizerKind::clip_bpe ? std::make_unique<Model>(Model{ClipBpe(spec, files)})
                                                : std::make_unique<Model>(Model{SentencePiece(spec, files)});
}

Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<Piece> Tokenizer::pieces(std::string_view text) const {
  return std::visit([&](const auto& kind) { return kind.pieces(text); }, model_->kind);
}

}  // namespace steplapse
