#include "model/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "steplapse/error.h"
#include "support/sentencepiece_model.h"
#include "support/temporary_folder.h"

namespace steplapse {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StrEq;
using ::testing::ThrowsMessage;
using namespace std::string_literals;

Manifest::Tokenizer spec() { return {"sentencepiece", {"tokenizer.model"}, 20, 1, 2, 40}; }

std::vector<Piece> pieces(std::string_view text) { return Tokenizer(spec(), {kModel}).pieces(text); }

template <class Member>
auto each(const std::vector<Piece>& pieces, Member Piece::* member) {
  std::vector<Member> values;
  for (const Piece& piece : pieces) values.push_back(piece.*member);
  return values;
}

TEST(Tokenizer, CutsAtTheGreatestScore) {
  EXPECT_THAT(each(pieces("red apples"), &Piece::text),
              ElementsAre(_ + "red", _ + "app", "le", "s"));  // app + le: -6, apple: -7
  EXPECT_THAT(each(pieces("red apples"), &Piece::id), ElementsAre(3, 4, 5, 7));
  EXPECT_THAT(pieces(""), IsEmpty());
}

TEST(Tokenizer, SaysWhereAPieceStarts) {
  EXPECT_THAT(each(pieces("red  apples"), &Piece::begin), ElementsAre(0, 3, 8, 10));
}

TEST(Tokenizer, MarksWhatIsUnknown) {
  const auto found = pieces("\u00e9 zz red");
  EXPECT_THAT(each(found, &Piece::id), ElementsAre(8, 10, 8, 0, 3));  // neighbours that are unknown are one piece
  EXPECT_THAT(each(found, &Piece::unknown), ElementsAre(false, false, false, true, false));
}

TEST(Tokenizer, TextThatLooksLikeAControlIsText) {
  EXPECT_THAT(each(pieces("</s>"), &Piece::text), ElementsAre(_, "</", "s", ">"));
}

TEST(Tokenizer, RefusesWhatItDoesNotKnow) {
  Manifest::Tokenizer other = spec();
  other.kind = "word_piece";
  EXPECT_THAT([&] { Tokenizer(other, {kModel}); },
              ThrowsMessage<BundleError>(
                  StrEq("tokenizer kind 'word_piece' is unknown, expected 'sentencepiece' or 'clip_bpe'")));
  other.kind = "clip_bpe";
  EXPECT_THAT([&] { Tokenizer(other, {kModel}); },
              ThrowsMessage<BundleError>(StrEq("tokenizer of kind 'clip_bpe' has 1 files, expected 2")));
  EXPECT_THAT([&] { Tokenizer(spec(), {"not a model"}); },
              ThrowsMessage<BundleError>(HasSubstr("tokenizer.model: not a sentencepiece model: ")));
  EXPECT_THROW(Tokenizer(spec(), {""}), BundleError);
  Manifest::Tokenizer two_files = spec();
  two_files.files.push_back("merges.txt");
  EXPECT_THROW(Tokenizer(two_files, {kModel, ""}), BundleError);
}

TEST(Tokenizer, OfABundleNamesItsFilesWithTheFolder) {
  const test_support::TemporaryFolder folder;
  Manifest manifest;
  manifest.tokenizers.push_back({"clip_bpe", {"vocab.json", "merges.txt"}, 77, 1, 2, 0});
  for (const auto& [name, bytes] : {std::pair("vocab.json"s, "[]"s), std::pair("merges.txt"s, ""s)}) {
    folder.write(name, bytes);
    manifest.files[name] = {static_cast<int64_t>(bytes.size()), sha256(bytes)};
  }
  EXPECT_THAT([&] { tokenizers_of(folder.path(), manifest); },
              ThrowsMessage<BundleError>(StrEq((folder / "vocab.json").string() +
                                               ": is a list of 0, expected an object of tokens and their ids")));
}

}  // namespace
}  // namespace steplapse
