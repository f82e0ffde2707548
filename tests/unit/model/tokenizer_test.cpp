#include "model/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "model/bundle_folder.h"
#include "steplapse/error.h"
#include "support/bundle_maker.h"
#include "support/pieces.h"
#include "support/sentencepiece_model.h"

namespace steplapse {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StrEq;
using ::testing::ThrowsMessage;
using namespace std::string_literals;

Manifest::Tokenizer unigram_spec() { return {TokenizerKind::sentencepiece, {"tokenizer.model"}, 20, 1, 2, 40}; }

std::vector<Piece> unigram_pieces(std::string_view text) { return Tokenizer(unigram_spec(), {kModel}).pieces(text); }

TEST(Tokenizer, CutsAtTheGreatestScore) {
  EXPECT_THAT(each(unigram_pieces("red apples"), &Piece::text),
              ElementsAre(_ + "red", _ + "app", "le", "s"));  // app + le: -6, apple: -7
  EXPECT_THAT(each(unigram_pieces("red apples"), &Piece::id), ElementsAre(3, 4, 5, 7));
  EXPECT_THAT(unigram_pieces(""), IsEmpty());
}

TEST(Tokenizer, SaysWhereAPieceStarts) {
  EXPECT_THAT(each(unigram_pieces("red  apples"), &Piece::begin), ElementsAre(0, 3, 8, 10));
}

TEST(Tokenizer, MarksWhatIsUnknown) {
  const auto found = unigram_pieces("\u00e9 zz red");
  EXPECT_THAT(each(found, &Piece::id), ElementsAre(8, 10, 8, 0, 3));  // neighbours that are unknown are one piece
  EXPECT_THAT(each(found, &Piece::unknown), ElementsAre(false, false, false, true, false));
}

TEST(Tokenizer, TextThatLooksLikeAControlIsText) {
  EXPECT_THAT(each(unigram_pieces("</s>"), &Piece::text), ElementsAre(_, "</", "s", ">"));
}

TEST(Tokenizer, RefusesWhatItDoesNotKnow) {
  Manifest::Tokenizer other = unigram_spec();
  other.kind = TokenizerKind::clip_bpe;
  EXPECT_THAT([&] { Tokenizer(other, {kModel}); },
              ThrowsMessage<BundleError>(StrEq("tokenizer of kind 'clip_bpe' has 1 file, expected 2")));
  EXPECT_THAT([&] { Tokenizer(unigram_spec(), {"not a model"}); },
              ThrowsMessage<BundleError>(HasSubstr("tokenizer.model: not a sentencepiece model: ")));
  EXPECT_THROW(Tokenizer(unigram_spec(), {""}), BundleError);
  Manifest::Tokenizer two_files = unigram_spec();
  two_files.files.push_back("merges.txt");
  EXPECT_THROW(Tokenizer(two_files, {kModel, ""}), BundleError);
}

TEST(Tokenizer, OfABundleNamesItsFilesWithTheFolder) {
  test_support::BundleMaker maker;
  maker.files["vocab.json"] = "[]";
  maker.files["merges.txt"] = "";
  maker.manifest["tokenizers"] = {{{"kind", "clip_bpe"},
                                   {"files", {"vocab.json", "merges.txt"}},
                                   {"length", 77},
                                   {"bos", 1},
                                   {"eos", 2},
                                   {"pad", 0}}};
  const BundleFolder folder(maker.write());
  EXPECT_THAT([&] { folder.tokenizers(); },
              ThrowsMessage<BundleError>(StrEq(maker.path("vocab.json").string() +
                                               ": is a list of 0, expected an object of tokens and their ids")));
}

}  // namespace
}  // namespace steplapse
