#include "steplapse/tokenizer.h"

#include <sentencepiece_processor.h>

#include <stdexcept>

#include "steplapse/error.h"
#include "steplapse/text.h"

namespace steplapse {
namespace {

int64_t room_for_pieces(const Manifest::Tokenizer& spec) {
  return spec.length - spec.bos.has_value() - spec.eos.has_value();
}

void check_spec(const Manifest::Tokenizer& spec) {
  if (spec.kind != "sentencepiece") {
    throw BundleError("tokenizer kind " + in_quotes(spec.kind) + " is not supported yet, wanted 'sentencepiece'");
  }
  if (spec.files.size() != 1) {
    throw BundleError("tokenizer of kind 'sentencepiece' has " + std::to_string(spec.files.size()) +
                      " files, wanted 1");
  }
  if (room_for_pieces(spec) < 0) {
    throw BundleError("tokenizer length " + std::to_string(spec.length) + " has no room for bos and eos");
  }
}

std::string_view without_leading_spaces(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t\r\n");
  return start == std::string_view::npos ? std::string_view() : text.substr(start);
}

}  // namespace

struct Tokenizer::Model {
  sentencepiece::SentencePieceProcessor processor;
};

Tokenizer::Tokenizer(const Manifest::Tokenizer& spec, std::string_view model)
    : spec_(spec), model_(std::make_unique<Model>()) {
  check_spec(spec);
  const auto status = model_->processor.LoadFromSerializedProto({model.data(), model.size()});
  if (!status.ok()) throw BundleError(spec.files[0] + ": not a sentencepiece model: " + escaped(status.message(), 200));
}

Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokens Tokenizer::encode(std::string_view prompt) const {
  sentencepiece::ImmutableSentencePieceText text;
  const auto status = model_->processor.Encode({prompt.data(), prompt.size()}, text.mutable_proto());
  if (!status.ok()) throw std::runtime_error("the tokenizer failed: " + status.ToString());

  Tokens tokens;
  if (spec_.bos) tokens.ids.push_back(*spec_.bos);
  for (const auto& piece : text.pieces()) {
    if (static_cast<int64_t>(tokens.pieces.size()) == room_for_pieces(spec_)) {
      tokens.cut = without_leading_spaces(prompt.substr(piece.begin()));
      break;
    }
    tokens.ids.push_back(piece.id());
    tokens.pieces.push_back(piece.piece());
    tokens.unknown += model_->processor.IsUnknown(static_cast<int>(piece.id()));
  }
  if (spec_.eos) tokens.ids.push_back(*spec_.eos);
  tokens.ids.resize(static_cast<size_t>(spec_.length), spec_.pad);
  return tokens;
}

}  // namespace steplapse
