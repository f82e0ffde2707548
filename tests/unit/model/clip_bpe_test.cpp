#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/tokenizer.h"
#include "steplapse/error.h"
#include "support/pieces.h"

namespace steplapse {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StrEq;
using testing::ThrowsMessage;

constexpr int64_t kStart = 600, kEnd = 601;
constexpr int64_t kLast = 256;  // of a word: byte b has the id b, at the end of a word kLast + b

/// U+0000 to U+07FF.
std::string utf8(int character) {
  if (character < 0x80) return {static_cast<char>(character)};
  return {static_cast<char>(0xc0 | character >> 6), static_cast<char>(0x80 | (character & 0x3f))};
}

/// Bytes are spelled as Latin-1, but the 33 + 34 + 1 that are not printed: those follow from U+0100 on.
std::string spelled(int byte) {
  if (byte <= 32) return utf8(0x100 + byte);
  if (byte >= 127 && byte <= 160) return utf8(0x121 + byte - 127);
  return byte == 173 ? utf8(0x143) : utf8(byte);
}

/// The first line has the id 512.
const std::string kMerges =
    "#version: 0.2\n"
    "e s\n"
    "es t</w>\n"
    "l o\n"
    "lo w\n"
    "lo w</w>\n"
    "n e\n"
    "a a\n"
    "' s</w>\n"
    "c a\n"
    "ca t</w>\n";

json vocabulary() {
  json ids;
  for (int byte = 0; byte < 256; ++byte) {
    ids[spelled(byte)] = byte;
    ids[spelled(byte) + "</w>"] = kLast + byte;
  }
  int id = 512;
  for (const char* joined : {"es", "est</w>", "lo", "low", "low</w>", "ne", "aa", "'s</w>", "ca", "cat</w>"}) {
    ids[joined] = id++;
  }
  ids["<|startoftext|>"] = kStart;
  ids["<|endoftext|>"] = kEnd;
  return ids;
}

Manifest::Tokenizer spec(int64_t pad = kEnd) {
  return {TokenizerKind::clip_bpe, {"vocab.json", "merges.txt"}, 77, kStart, kEnd, pad};
}

std::vector<Piece> pieces(std::string_view text, int64_t pad = kEnd) {
  return Tokenizer(spec(pad), {vocabulary().dump(), kMerges}).pieces(text);
}

auto texts(std::string_view text) { return each(pieces(text), &Piece::text); }
auto ids(std::string_view text) { return each(pieces(text), &Piece::id); }

// low, lower, newest and widest are the words of Sennrich et al. 2016, section 3.2.
TEST(ClipBpe, JoinsTheFirstLineFirst) {
  EXPECT_THAT(texts("low lower lowest"), ElementsAre("low</w>", "low", "e", "r</w>", "low", "est</w>"));
  EXPECT_THAT(texts("newest widest"), ElementsAre("ne", "w", "est</w>", "w", "i", "d", "est</w>"));
  EXPECT_THAT(texts("nest"), ElementsAre("n", "est</w>"));  // "e s" is line 2, "n e" line 7
  EXPECT_THAT(ids("lowest"), ElementsAre(515, 513));
  EXPECT_THAT(ids(""), IsEmpty());
}

TEST(ClipBpe, JoinsFromTheLeft) {
  EXPECT_THAT(texts("aaaa"), ElementsAre("aa", "a", "a</w>"));
  EXPECT_THAT(texts("aaaaab"), ElementsAre("aa", "aa", "a", "b</w>"));
}

TEST(ClipBpe, CutsBetweenLettersNumbersAndSymbols) {
  EXPECT_THAT(texts("cat,cat 12"), ElementsAre("cat</w>", ",</w>", "cat</w>", "1</w>", "2</w>"));
  EXPECT_THAT(texts(" \n\u3000cat\u00a0cat "), ElementsAre("cat</w>", "cat</w>"));
  EXPECT_THAT(texts("cat's cat!'s"), ElementsAre("cat</w>", "'s</w>", "cat</w>", "!", "'</w>", "s</w>"));
  // A superscript 2, and a Roman eight whose lower case ends with byte b7.
  EXPECT_THAT(ids("\u00b2\u2167x"), ElementsAre(0xc2, kLast + 0xb2, 0xe2, 0x85, kLast + 0xb7, kLast + 'x'));
}

TEST(ClipBpe, ComposesThenLowersEachCharacterOnItsOwn) {
  EXPECT_THAT(texts("CAT"), ElementsAre("cat</w>"));
  EXPECT_THAT(ids("E\u0301"), ElementsAre(0xc3, kLast + 0xa9));                   // é
  EXPECT_THAT(ids("\u0391\u03a3"), ElementsAre(0xce, 0xb1, 0xcf, kLast + 0x83));  // the last sigma is as any other
  EXPECT_THAT(ids("\u0130"), ElementsAre('i' + kLast, 0xcc, kLast + 0x87));       // i and a dot, which is no letter
}

// U+08D3 came with Unicode 11 as a mark below letters, which an accent above passes to join its letter. Not so in 9.0.
TEST(ClipBpe, ComposesAsUnicode9Does) {
  EXPECT_THAT(ids("a\u0316\u0301"), ElementsAre(0xc3, kLast + 0xa1, 0xcc, kLast + 0x96));
  EXPECT_THAT(ids("a\u08d3\u0301"), ElementsAre(kLast + 'a', 0xe0, 0xa3, 0x93, 0xcc, kLast + 0x81));
}

TEST(ClipBpe, SaysWhereAPieceStarts) {
  EXPECT_THAT(each(pieces("lowest  cat's"), &Piece::begin), ElementsAre(0, 3, 8, 11));
  EXPECT_THAT(each(pieces("\u00e9 cat"), &Piece::begin), ElementsAre(0, 0, 3));            // both of é's bytes
  EXPECT_THAT(each(pieces("cae\u0301t cat"), &Piece::begin), ElementsAre(0, 2, 2, 5, 7));  // composed: one byte less
  EXPECT_THAT(each(pieces("\u0130x"), &Piece::begin), ElementsAre(0, 0, 0, 2));            // a byte more
}

TEST(ClipBpe, SpecialTokensAreTokensInsideAPrompt) {
  EXPECT_THAT(ids("cat<|endoftext|>cat"), ElementsAre(521, kEnd, 521));
  EXPECT_THAT(each(pieces("cat <|startoftext|> cat"), &Piece::begin), ElementsAre(0, 4, 20));
  EXPECT_THAT(ids("e<|endoftext|>\u0301"), ElementsAre(kLast + 'e', kEnd, 0xcc, kLast + 0x81));  // no é across it
  EXPECT_THAT(texts("<|end|>"), ElementsAre("<", "|</w>", "e", "n", "d</w>", "|", "></w>"));
  EXPECT_THAT(each(pieces("cat!", '!'), &Piece::id), ElementsAre(521, '!'));  // pad is one too
  EXPECT_THAT(each(pieces("cat!"), &Piece::id), ElementsAre(521, kLast + '!'));
}

TEST(ClipBpe, AVeryLongWordIsNoTrouble) {
  EXPECT_EQ(pieces(std::string(100'000, 'a')).size(), 50'001);  // "aa" and the last two
}

void expect_refused(const std::string& vocabulary, const std::string& merges, const std::string& message) {
  EXPECT_THAT([&] { Tokenizer(spec(), {vocabulary, merges}); }, ThrowsMessage<BundleError>(StrEq(message)));
}

TEST(ClipBpe, RefusesAVocabularyThatIsNone) {
  const auto with = [](const std::string& token, const json& id) {
    json ids = vocabulary();
    ids[token] = id;
    return ids.dump();
  };
  const auto without = [](const std::string& token) {
    json ids = vocabulary();
    ids.erase(token);
    return ids.dump();
  };
  expect_refused("", "", "vocab.json: is not JSON: wrong at byte 1 of 0");
  expect_refused("{\"a\": 1, \"a\": 2}", "", "vocab.json: has the key \"a\" twice in one object");
  expect_refused("[1, 2]", "", "vocab.json: is a list of 2, expected an object of tokens and their ids");
  expect_refused(with("dog", -1), "", "vocab.json: the id of 'dog' is -1, expected an integer from 0 to 2147483647");
  expect_refused(with("dog", 1.5), "", "vocab.json: the id of 'dog' is 1.5, expected an integer from 0 to 2147483647");
  expect_refused(with("d\ng", "7"), "",
                 "vocab.json: the id of 'd\\ng' is \"7\", expected an integer from 0 to 2147483647");
  expect_refused(with("dog", uint64_t{1} << 63), "",
                 "vocab.json: the id of 'dog' is 9223372036854775808, expected an integer from 0 to 2147483647");
  expect_refused(with("dog", 512), "",
                 "vocab.json: 'dog' and 'es' both have the id 512, expected one token for each id");
  expect_refused(without("\u0120</w>"), "",
                 "vocab.json: has no token '\u0120</w>' for byte 32, expected each byte, on its own and with '</w>'");
  expect_refused(without("<|startoftext|>"), kMerges, "vocab.json: no token has the id 600, model.json's bos");
  expect_refused(without("<|endoftext|>"), kMerges, "vocab.json: no token has the id 601, model.json's eos");
  EXPECT_THAT([] { pieces("", 602); },
              ThrowsMessage<BundleError>(StrEq("vocab.json: no token has the id 602, model.json's pad")));
}

TEST(ClipBpe, RefusesMergesThatAreNone) {
  const std::string all = vocabulary().dump();
  const std::string wanted = ", expected two tokens with a space between them";
  expect_refused(all, "e s\nlow\n", "merges.txt: line 2: is 'low'" + wanted);
  expect_refused(all, "e s\n\nl o\n", "merges.txt: line 2: is ''" + wanted);
  expect_refused(all, "l o w", "merges.txt: line 1: is 'l o w'" + wanted);
  expect_refused(all, "l ", "merges.txt: line 1: is 'l '" + wanted);
  expect_refused(all, " o", "merges.txt: line 1: is ' o'" + wanted);
  expect_refused(all, kMerges + "dog s\n", "merges.txt: line 12: 'dog' is not in vocab.json");
  expect_refused(all, kMerges + "e \xff\r\n", "merges.txt: line 12: '\\xff' is not in vocab.json");
  expect_refused(all, kMerges + "e x\n", "merges.txt: line 12: 'ex' is not in vocab.json");
  expect_refused(all, kMerges + "l o\n", "merges.txt: line 12: is the pair of line 4, expected each pair once");
}

TEST(ClipBpe, TakesLinesThatEndAsOnWindows) {
  const Tokenizer tokenizer(spec(), {vocabulary().dump(), "#version: 0.2\r\ne s\r\nes t</w>\r\n"});
  EXPECT_THAT(each(tokenizer.pieces("nest"), &Piece::text), ElementsAre("n", "est</w>"));
}

}  // namespace
}  // namespace steplapse
