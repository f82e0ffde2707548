#include "model/tokenizer.h"

#include <sentencepiece_processor.h>

#include <stdexcept>
#include <utility>
#include <variant>

#include "base/text.h"
#include "model/bundle_file.h"
#include "model/clip_bpe.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

class SentencePiece {
 public:
  SentencePiece(const Manifest::Tokenizer& spec, const std::vector<std::string>& files)
      : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
    const auto status = processor_->LoadFromSerializedProto({files.at(0).data(), files.at(0).size()});
    if (!status.ok()) {
      throw BundleError(spec.files.at(0) + ": not a sentencepiece model: " + escaped(status.message(), 200));
    }
  }

  std::vector<Piece> pieces(std::string_view text) const {
    sentencepiece::ImmutableSentencePieceText found;
    const auto status = processor_->Encode({text.data(), text.size()}, found.mutable_proto());
    if (!status.ok()) throw std::runtime_error("the tokenizer failed: " + status.ToString());

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

void check_spec(const Manifest::Tokenizer& spec) {
  if (spec.kind != "sentencepiece" && spec.kind != "clip_bpe") {
    throw BundleError("tokenizer kind " + in_quotes(spec.kind) + " is unknown, expected 'sentencepiece' or 'clip_bpe'");
  }
  const size_t wanted = spec.kind == "clip_bpe" ? 2 : 1;
  if (spec.files.size() != wanted) {
    throw BundleError("tokenizer of kind '" + spec.kind + "' has " + std::to_string(spec.files.size()) +
                      " files, expected " + std::to_string(wanted));
  }
}

}  // namespace

struct Tokenizer::Model {
  std::variant<SentencePiece, ClipBpe> kind;
};

Tokenizer::Tokenizer(const Manifest::Tokenizer& spec, const std::vector<std::string>& files) : spec_(spec) {
  check_spec(spec);
  model_ = spec.kind == "clip_bpe" ? std::make_unique<Model>(Model{ClipBpe(spec, files)})
                                   : std::make_unique<Model>(Model{SentencePiece(spec, files)});
}

Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<Piece> Tokenizer::pieces(std::string_view text) const {
  return std::visit([&](const auto& kind) { return kind.pieces(text); }, model_->kind);
}

Tokenizer tokenizer_of(const std::filesystem::path& folder, const Manifest& manifest, const Manifest::Tokenizer& spec) {
  Manifest::Tokenizer placed = spec;  // errors name its files
  std::vector<std::string> files;
  for (std::string& name : placed.files) {
    files.push_back(read_bundle_file(folder, name, manifest.files.at(name)));
    name = (folder / name).string();
  }
  return {placed, files};
}

std::vector<Tokenizer> tokenizers_of(const std::filesystem::path& folder, const Manifest& manifest) {
  std::vector<Tokenizer> tokenizers;
  for (const auto& spec : manifest.tokenizers) tokenizers.push_back(tokenizer_of(folder, manifest, spec));
  return tokenizers;
}

}  // namespace steplapse
