#include "model/sentencepiece_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/text.h"

namespace steplapse {
namespace {

constexpr size_t kMostPieces = 2'000'000;
constexpr size_t kLongestPiece = 1000;  // bytes
constexpr size_t kMostNestedSymbols =
    64;                               // user-defined ones that begin with each other; the library has an array of 64
constexpr int kMostNestedRules = 32;  // rules that begin with each other; an array of 32
constexpr int kLongestRule = 255;     // bytes of what is replaced
constexpr size_t kLongestReplacement = 255;
constexpr size_t kLargestTable = 4 << 20;   // bytes
constexpr size_t kTableBlock = 1024;        // bytes: Darts-clone makes blocks of 256 units
constexpr size_t kMostSelfTests = 1 << 20;  // bytes: the library encodes them when it loads the model

[[noreturn]] void refuse_model(const std::string& what) { throw std::invalid_argument(what); }

// ---- protobuf's wire format: https://protobuf.dev/programming-guides/encoding/

enum class WireType { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct ModelField {
  uint64_t number;
  WireType type;
  uint64_t value;          ///< of a number
  std::string_view bytes;  ///< of a text or a message
};

/// The fields of a message, in their order. Numbers must be written as short as they can be, as all writers do: then other
/// readers see the same fields.
class ModelMessage {
 public:
  explicit ModelMessage(std::string_view bytes) : rest_(bytes) {}

  std::optional<ModelField> next() {
    if (rest_.empty()) return std::nullopt;
    const uint64_t tag = varint();
    ModelField field{tag >> 3, static_cast<WireType>(tag & 7), 0, {}};
    if (field.number == 0 || tag > UINT32_MAX) refuse_model("has a field without a number");
    switch (field.type) {
      case WireType::varint: field.value = varint(); break;
      case WireType::fixed64: take(8); break;
      case WireType::fixed32: std::memcpy(&field.value, take(4).data(), 4); break;
      case WireType::bytes: field.bytes = take(varint()); break;
      default: refuse_model("has a field of an unknown type");
    }
    return field;
  }

 private:
  std::string_view take(uint64_t count) {
    if (count > rest_.size()) refuse_model("ends in the middle of a field");
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      if (shift == 63 && byte > 1) break;
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte >= 0x80) continue;
      if (byte == 0 && shift > 0) break;
      return value;
    }
    refuse_model("has a number that is written longer than it has to be");
  }

  std::string_view rest_;
};

/// A field that the trainer writes.
struct FieldRule {
  uint64_t number;  ///< below 32
  WireType type;
  bool repeated = false;
};

constexpr std::array<FieldRule, 5> kModelFields{{{1, WireType::bytes, /*repeated=*/true},
                                                 {2, WireType::bytes},
                                                 {3, WireType::bytes},
                                                 {4, WireType::bytes},
                                                 {5, WireType::bytes}}};
constexpr std::array<FieldRule, 3> kPieceFields{{{1, WireType::bytes}, {2, WireType::fixed32}, {3, WireType::varint}}};
constexpr std::array<FieldRule, 6> kNormalizerFields{{{1, WireType::bytes},
                                                      {2, WireType::bytes},
                                                      {3, WireType::varint},
                                                      {4, WireType::varint},
                                                      {5, WireType::varint},
                                                      {6, WireType::bytes}}};

/// Calls `use` with each field of a message. Of one that is there twice the library believes the last.
template <size_t count, typename Use>
void for_each_field(std::string_view bytes, const char* name, const std::array<FieldRule, count>& rules, Use use) {
  ModelMessage message(bytes);
  uint32_t seen = 0;
  while (const auto field = message.next()) {
    const auto refuse = [&, number = field->number](const char* what) {
      refuse_model(std::string("its ") + name + " has field " + std::to_string(number) + what);
    };
    const auto rule =
        std::find_if(rules.begin(), rules.end(), [&](const FieldRule& each) { return each.number == field->number; });
    if (rule == rules.end()) refuse(", which none has");
    if (rule->type != field->type) refuse(" of another type");
    if ((seen >> field->number & 1) != 0 && !rule->repeated) refuse(" twice");
    seen |= 1u << field->number;
    use(*field);
  }
}

// ---- the normalization table

/// A double array: from a place, the character c leads to the unit at place ^ c if that unit's label is c, and from there on
/// to the place at that unit ^ its offset. Where a rule ends, the unit at the new place has the place of its text.
class NormalizationTable {
 public:
  NormalizationTable(std::string_view units, std::string_view texts)
      : units_(units.size() / sizeof(uint32_t)), texts_(texts), rules_(units_.size(), kUnknown) {
    std::memcpy(units_.data(), units.data(), units.size());
  }
  void check() { rules_from(offset(units_[0]), 0); }

 private:
  static constexpr int8_t kUnknown = -1;
  static uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
  static uint32_t label(uint32_t unit) { return unit & 0x800000ffu; }
  static bool ends_rule(uint32_t unit) { return ((unit >> 8) & 1) != 0; }

  /// Checks all that follows a place. @return how many rules end on one way from there, at most
  int rules_from(size_t place, int depth) {
    if (place >= units_.size()) refuse_model("its normalization table leads out of itself");
    if (depth > kLongestRule) refuse_model("its normalization table has a rule that does not end");
    if (rules_[place] != kUnknown) return rules_[place];
    int most = 0;
    for (uint32_t c = 0; c < 256; ++c) {  // in the same block, which is inside
      const uint32_t unit = units_[place ^ c];
      if (label(unit) != c) continue;
      const size_t next = place ^ c ^ offset(unit);
      const int after = rules_from(next, depth + 1);
      if (ends_rule(unit)) check_text(units_[next] & 0x7fffffffu);
      most = std::max(most, after + (ends_rule(unit) ? 1 : 0));
    }
    if (most > kMostNestedRules) refuse_model("its normalization table has too many rules that begin alike");
    rules_[place] = static_cast<int8_t>(most);
    return most;
  }
  void check_text(size_t begin) const {
    if (begin >= texts_.size()) refuse_model("its normalization table has a text outside of it");
    const size_t size = texts_.find('\0', begin) - begin;  // the last one ends the texts
    if (size > kLongestReplacement || !is_utf8(texts_.substr(begin, size)))
      refuse_model("its normalization table has a text that is none");
  }

  std::vector<uint32_t> units_;
  std::string_view texts_;
  std::vector<int8_t> rules_;  // of places that were seen
};

/// The table's size, the table, and texts that a zero ends.
void check_table(std::string_view bytes) {
  if (bytes.empty()) return;
  uint32_t size = 0;
  if (bytes.size() < sizeof size) refuse_model("its normalization table ends in the middle");
  std::memcpy(&size, bytes.data(), sizeof size);
  bytes.remove_prefix(sizeof size);
  if (size == 0 || size % kTableBlock != 0 || size > kLargestTable || size >= bytes.size())
    refuse_model("its normalization table says it has " + std::to_string(size) + " bytes, of " +
                 std::to_string(bytes.size()));
  const std::string_view texts = bytes.substr(size);
  if (texts.back() != '\0') refuse_model("its normalization table has a text that does not end");
  NormalizationTable(bytes.substr(0, size), texts).check();
}

void check_normalizer(std::string_view bytes) {
  for_each_field(bytes, "normalizer", kNormalizerFields, [](const ModelField& field) {
    if (field.number == 2) check_table(field.bytes);
  });
}

// ---- the pieces

/// @return its text, where it is one that the user defined
std::optional<std::string_view> check_piece(std::string_view bytes) {
  constexpr uint64_t kUserDefined = 4, kLastType = 6;
  std::string_view text;
  uint64_t type = 1;
  for_each_field(bytes, "piece", kPieceFields, [&](const ModelField& field) {
    if (field.number == 1) text = field.bytes;
    if (field.number == 3) type = field.value;
    float score = 0;
    if (field.number == 2) std::memcpy(&score, &field.value, sizeof score);
    if (!std::isfinite(score)) refuse_model("has a piece whose score is no number");
  });
  if (text.empty() || text.size() > kLongestPiece || text.find('\0') != text.npos || !is_utf8(text))
    refuse_model("has a piece that is no text: " + in_quotes(text, 40));
  if (type < 1 || type > kLastType) refuse_model("has a piece of an unknown type: " + in_quotes(text, 40));
  return type == kUserDefined ? std::optional(text) : std::nullopt;
}

/// The library looks for all of them that a text begins with.
void check_symbols(std::vector<std::string_view> symbols) {
  std::sort(symbols.begin(), symbols.end());
  std::vector<std::string_view> nested;
  for (const std::string_view symbol : symbols) {
    while (!nested.empty() && !symbol.starts_with(nested.back())) nested.pop_back();
    nested.push_back(symbol);
    if (nested.size() >= kMostNestedSymbols) refuse_model("has too many symbols that begin alike");
  }
}

void check_trainer(std::string_view bytes) {
  ModelMessage message(bytes);
  while (message.next()) {
  }
}

}  // namespace

void check_sentencepiece_model(std::string_view bytes) {
  std::vector<std::string_view> symbols;
  size_t pieces = 0;
  for_each_field(bytes, "model", kModelFields, [&](const ModelField& field) {
    switch (field.number) {
      case 1:
        if (++pieces > kMostPieces) refuse_model("has more pieces than a vocabulary");
        if (const auto symbol = check_piece(field.bytes)) symbols.push_back(*symbol);
        break;
      case 2: check_trainer(field.bytes); break;
      case 4:
        if (field.bytes.size() > kMostSelfTests) refuse_model("has tests of its own that are too long");
        break;
      default: check_normalizer(field.bytes);
    }
  });
  check_symbols(std::move(symbols));
}

}  // namespace steplapse
