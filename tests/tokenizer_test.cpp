#include "steplapse/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sentencepiece_model.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StrEq;
using testing::ThrowsMessage;
using namespace std::string_literals;

Manifest::Tokenizer spec(int64_t length) { return {"sentencepiece", {"tokenizer.model"}, length, 1, 2, 40}; }

TEST(Tokenizer, CutsAtTheGreatestScoreAndPads) {
  const Tokens tokens = Tokenizer(spec(8), kModel).encode("red apples");
  EXPECT_THAT(tokens.pieces, ElementsAre(_ + "red", _ + "app", "le", "s"));  // app + le: -6, apple: -7
  EXPECT_THAT(tokens.ids, ElementsAre(1, 3, 4, 5, 7, 2, 40, 40));
  EXPECT_EQ(tokens.cut, "");
  EXPECT_EQ(tokens.unknown, 0);
}

TEST(Tokenizer, NoPromptIsOnlyBosAndEos) {
  EXPECT_THAT(Tokenizer(spec(4), kModel).encode("").ids, ElementsAre(1, 2, 40, 40));
}

TEST(Tokenizer, BosAndEosMayBeNone) {
  Manifest::Tokenizer plain = spec(3);
  plain.bos = plain.eos = std::nullopt;
  EXPECT_THAT(Tokenizer(plain, kModel).encode("red").ids, ElementsAre(3, 40, 40));
  plain.bos = 1;
  EXPECT_THAT(Tokenizer(plain, kModel).encode("red").ids, ElementsAre(1, 3, 40));
}

TEST(Tokenizer, WhatFitsExactlyIsNotCut) {
  const Tokens tokens = Tokenizer(spec(6), kModel).encode("red apples");
  EXPECT_THAT(tokens.ids, ElementsAre(1, 3, 4, 5, 7, 2));
  EXPECT_EQ(tokens.cut, "");
}

TEST(Tokenizer, SaysWhatItCut) {
  const Tokens tokens = Tokenizer(spec(5), kModel).encode("red  apples pie \u00e9 x");
  EXPECT_THAT(tokens.ids, ElementsAre(1, 3, 4, 5, 2));
  EXPECT_EQ(tokens.cut, "s pie \u00e9 x");
  EXPECT_EQ(Tokenizer(spec(6), kModel).encode("red  apples pie \u00e9 x").cut, "pie \u00e9 x");
  EXPECT_EQ(Tokenizer(spec(2), kModel).encode(" red").cut, "red");
}

TEST(Tokenizer, CountsWhatIsUnknown) {
  const Tokens tokens = Tokenizer(spec(9), kModel).encode("\u00e9 zz red");
  EXPECT_THAT(tokens.ids, ElementsAre(1, 8, 10, 8, 0, 3, 2, 40, 40));  // neighbours that are unknown are one piece
  EXPECT_EQ(tokens.unknown, 1);
}

TEST(Tokenizer, TextThatLooksLikeAControlIsText) {
  EXPECT_THAT(Tokenizer(spec(5), kModel).encode("</s>").pieces, ElementsAre(_, "</", "s"));
}

TEST(Tokenizer, RefusesWhatItDoesNotKnow) {
  Manifest::Tokenizer clip = spec(77);
  clip.kind = "clip_bpe";
  EXPECT_THAT(
      [&] { Tokenizer(clip, kModel); },
      ThrowsMessage<BundleError>(StrEq("tokenizer kind 'clip_bpe' is not supported yet, wanted 'sentencepiece'")));
  EXPECT_THAT([&] { Tokenizer(spec(8), "not a model"); },
              ThrowsMessage<BundleError>(HasSubstr("tokenizer.model: not a sentencepiece model: ")));
  EXPECT_THROW(Tokenizer(spec(8), ""), BundleError);
  EXPECT_THAT([&] { Tokenizer(spec(1), kModel); },
              ThrowsMessage<BundleError>(StrEq("tokenizer length 1 has no room for bos and eos")));
  Manifest::Tokenizer two_files = spec(8);
  two_files.files.push_back("merges.txt");
  EXPECT_THROW(Tokenizer(two_files, kModel), BundleError);
}

}  // namespace
}  // namespace steplapse
