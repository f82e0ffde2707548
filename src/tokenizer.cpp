#include "steplapse/tokenizer.h"

#include <sentencepiece_processor.h>

#include <stdexcept>

#include "steplapse/error.h"
#include "steplapse/text.h"

namespace steplapse {
namespace {

void check_spec(const Manifest::Tokenizer& spec) {
  if (spec.kind != "sentencepiece") {
    throw BundleError("tokenizer kind " + in_quotes(spec.kind) + " is not supported yet, wanted 'sentencepiece'");
  }
  if (spec.files.size() != 1) {
    throw BundleError("tokenizer of kind 'sentencepiece' has " + std::to_string(spec.files.size()) +
                      " files, wanted 1");
  }
}

}  // namespace

struct Tokenizer::Model {
  sentencepiece::SentencePieceProcessor processor;
};

Tokenizer::Tokenizer(const Manifest::Tokenizer& spec, const std::vector<std::string>& files)
    : spec_(spec), model_(std::make_unique<Model>()) {
  check_spec(spec);
  const auto status = model_->processor.LoadFromSerializedProto({files.at(0).data(), files.at(0).size()});
  if (!status.ok()) throw BundleError(spec.files[0] + ": not a sentencepiece model: " + escaped(status.message(), 200));
}

Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<Piece> Tokenizer::pieces(std::string_view text) const {
  sentencepiece::ImmutableSentencePieceText found;
  const auto status = model_->processor.Encode({text.data(), text.size()}, found.mutable_proto());
  if (!status.ok()) throw std::runtime_error("the tokenizer failed: " + status.ToString());

  std::vector<Piece> pieces;
  for (const auto& piece : found.pieces()) {
    const bool unknown = model_->processor.IsUnknown(static_cast<int>(piece.id()));
    pieces.push_back({piece.id(), piece.piece(), piece.begin(), unknown});
  }
  return pieces;
}

Tokenizer tokenizer_of(const Bundle& bundle, const Manifest::Tokenizer& spec) {
  std::vector<std::string> files;
  for (const std::string& name : spec.files) files.push_back(bundle.read_file(name));
  return {spec, files};
}

}  // namespace steplapse
