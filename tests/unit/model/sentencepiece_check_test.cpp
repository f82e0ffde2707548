#include "model/sentencepiece_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "model/tokenizer.h"
#include "support/normalization_table.h"
#include "support/sentencepiece_model.h"

namespace steplapse {
namespace {

using namespace test_support;
using ::testing::HasSubstr;

/// What is said of a model; empty if it is taken.
std::string model_refusal(const std::string& model) {
  try {
    check_sentencepiece_model(model);
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

/// What is said of a model whose table has one unit of another value.
std::string table_refusal(size_t place, uint32_t unit) {
  std::string units = small_table_units();
  std::memcpy(units.data() + 4 * place, &unit, sizeof unit);
  return model_refusal(kModel + normalizer_of(units, small_table_texts()));
}

std::string bytes_of_hex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

// The library reads the table as the test wrote it.
TEST(SentencepieceModel, NormalizesAsItsTableSays) {
  const std::string model = kModel + piece("ab", -1) + normalizer_of(small_table_units(), small_table_texts());
  EXPECT_EQ(model_refusal(model), "");
  const Tokenizer tokenizer({TokenizerKind::sentencepiece, {"tokenizer.model"}, 20, 1, 2, 0}, {model});
  const auto pieces = tokenizer.pieces("A AB");
  ASSERT_EQ(pieces.size(), 4u);
  EXPECT_EQ(pieces[1].text, "a");
  EXPECT_EQ(pieces[3].text, "ab");
}

// 13 bytes behind a model: a second normalizer, whose table's only unit leads 2^29 places away.
TEST(SentencepieceModel, WithABytesLongAttackIsRefused) {
  const std::string attack = bytes_of_hex("1a0b120904000000") + bytes_of_hex("00fcff7f78");
  EXPECT_THAT(model_refusal(kModel + attack), HasSubstr("its normalization table says it has 4 bytes"));
  const std::string sound = normalizer_of(small_table_units(), small_table_texts());
  EXPECT_EQ(model_refusal(kModel + sound + attack), "its model has field 3 twice");
}

TEST(SentencepieceModel, WhoseTableLeadsOutOfItselfIsRefused) {
  const char* const message = "its normalization table leads out of itself";
  EXPECT_EQ(table_refusal(0, table_unit(0, false, 256)), message);                  // from the start
  EXPECT_EQ(table_refusal(1 ^ 'A', table_unit('A', false, 0x1fffff)), message);     // behind a character
  EXPECT_EQ(table_refusal(1 ^ 'Z', table_unit('Z', true, 1u << 20)), message);      // where a rule ends
  EXPECT_EQ(table_refusal(1 ^ 'Z', table_unit('Z', false, 1) | 1u << 9), message);  // an offset of 256 units
}

TEST(SentencepieceModel, WhoseTableGoesInCirclesIsRefused) {
  EXPECT_EQ(table_refusal(1 ^ 'Z', table_unit('Z', false, 'Z')),
            "its normalization table has a rule that does not end");
}

TEST(SentencepieceModel, WhoseTextsLieOutsideIsRefused) {
  EXPECT_EQ(table_refusal(0x80, table_text(5)), "its normalization table has a text outside of it");
  EXPECT_EQ(table_refusal(0x10, table_text(0x7fffffff)), "its normalization table has a text outside of it");
  EXPECT_EQ(model_refusal(kModel + normalizer_of(small_table_units(), "a")),
            "its normalization table has a text that does not end");
  // One character of a prompt would become a thousand.
  EXPECT_EQ(model_refusal(kModel + normalizer_of(small_table_units(), std::string(1000, 'a') + '\0')),
            "its normalization table has a text that is none");
}

// The library has room for 32 rules that begin alike, and writes down how many there are.
TEST(SentencepieceModel, WithManyRulesThatBeginAlikeIsRefused) {
  const auto refusal = [](uint32_t rules) {
    std::vector<uint32_t> units(256, table_text(0));
    units[0] = table_unit(0, false, 1);
    for (uint32_t i = 0; i < rules; ++i) units[(i + 1) ^ 'A'] = table_unit('A', true, (i + 1) ^ 'A' ^ (i + 2));
    const std::string bytes(reinterpret_cast<const char*>(units.data()), 4 * units.size());
    return model_refusal(kModel + normalizer_of(bytes, std::string(1, '\0')));
  };
  EXPECT_EQ(refusal(32), "");
  EXPECT_EQ(refusal(33), "its normalization table has too many rules that begin alike");
}

// The library looks for all symbols that a text begins with, and has room for 64.
TEST(SentencepieceModel, WithManySymbolsThatBeginAlikeIsRefused) {
  const auto with_symbols = [](size_t count) {
    std::string model = kModel;
    for (size_t size = 1; size <= count; ++size) model += piece(std::string(size, 'z'), 0, 4);
    return model;
  };
  EXPECT_EQ(model_refusal(with_symbols(63)), "");
  EXPECT_EQ(model_refusal(with_symbols(64)), "has too many symbols that begin alike");
}

TEST(SentencepieceModel, WithPiecesThatAreNoTextsIsRefused) {
  EXPECT_THAT(model_refusal(kModel + piece(std::string("a\0b", 3), 0)), HasSubstr("has a piece that is no text"));
  EXPECT_THAT(model_refusal(kModel + piece("\xff", 0)), HasSubstr("has a piece that is no text"));
  EXPECT_THAT(model_refusal(kModel + piece("", 0)), HasSubstr("has a piece that is no text"));
  EXPECT_THAT(model_refusal(kModel + piece("z", std::nanf(""))), HasSubstr("whose score is no number"));
  EXPECT_THAT(model_refusal(kModel + piece("z", 0, 7)), HasSubstr("has a piece of an unknown type"));
}

TEST(SentencepieceModel, ThatIsNoMessageIsRefused) {
  EXPECT_EQ(model_refusal(kModel + "\x0a"), "ends in the middle of a field");
  EXPECT_EQ(model_refusal(kModel + "\x0a\xff\xff\xff\xff\x0f"), "ends in the middle of a field");
  EXPECT_EQ(model_refusal(kModel + std::string("\x02\0", 2)), "has a field without a number");
  EXPECT_EQ(model_refusal(kModel + "\x0b"), "has a field of an unknown type");
  EXPECT_EQ(model_refusal(kModel + std::string("\x32\0", 2)), "its model has field 6, which none has");
  EXPECT_EQ(model_refusal(kModel + std::string("\x18\0", 2)), "its model has field 3 of another type");
  EXPECT_EQ(model_refusal(kModel + std::string("\x1a\x80\0", 3)),
            "has a number that is written longer than it has to be");
}

TEST(SentencepieceModel, CutAnywhereIsRefusedOrWhole) {
  const std::string model = kModel + normalizer_of(small_table_units(), small_table_texts());
  for (size_t size = kModel.size() + 1; size < model.size(); size += 5)
    EXPECT_NE(model_refusal(model.substr(0, size)), "") << size;
}

}  // namespace
}  // namespace steplapse
