#include "prompt/chunks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/aten.h"
#include "support/sentencepiece_model.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// The handmade model with room for this many pieces in a chunk, bos 1, eos 2, pad 40.
Tokenizer tokenizer(int64_t room) {
  return {{TokenizerKind::sentencepiece, {"tokenizer.model"}, room + 2, 1, 2, 40}, {kModel}};
}

std::vector<PromptPart> parts_of(const std::string& prompt) {
  return parse_syntax(prompt, PromptSyntax::weights, "PROMPT").parts;
}

/// A chunk as its pieces' text.
std::string text_of(const Chunk& chunk) {
  std::string text;
  for (const Piece& piece : chunk.pieces) text += piece.text;
  return text;
}

/// What goes into each chunk, spaces as the model spells them.
std::vector<std::string> texts(const ChunkedPrompt& prompt) {
  std::vector<std::string> texts;
  for (const Chunk& chunk : prompt.chunks) texts.push_back(text_of(chunk));
  return texts;
}

ChunkedPrompt dealt(const std::string& prompt, int64_t room, int64_t max_chunks) {
  return chunked(tokenizer(room), parts_of(prompt), max_chunks);
}

std::string reds(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += (i == 0 ? "red" : " red");
  return text;
}

std::string red_pieces(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += _ + "red";
  return text;
}

TEST(Chunks, APromptStandsBetweenBosAndEos) {
  const Tokenizer four = tokenizer(4);
  const ChunkedPrompt prompt = chunked(four, parts_of("red (red:1.5)"), 1);
  ASSERT_EQ(prompt.chunks.size(), 1u);
  EXPECT_THAT(ids_of(four.spec(), prompt.chunks[0]), ElementsAre(1, 3, 3, 2, 40, 40));
  EXPECT_THAT(weights_of(four.spec(), prompt.chunks[0]), ElementsAre(1, 1, 1.5f, 1, 1, 1));
  EXPECT_THAT(prompt.dropped_words, IsEmpty());
}

TEST(Chunks, BosAndEosMayBeMissing) {
  const Tokenizer bare({TokenizerKind::sentencepiece, {"tokenizer.model"}, 2, std::nullopt, std::nullopt, 40},
                       {kModel});
  EXPECT_THAT(ids_of(bare.spec(), chunked(bare, parts_of("red"), 1).chunks[0]), ElementsAre(3, 40));
  EXPECT_THAT(ids_of(bare.spec(), chunked(bare, parts_of(reds(3)), 1).chunks[0]), ElementsAre(3, 3));
}

TEST(Chunks, AnEmptyPromptIsOneChunk) {
  const Tokenizer four = tokenizer(4);
  for (const char* text : {"", "  ", "()"}) {
    const ChunkedPrompt prompt = chunked(four, parts_of(text), 3);
    ASSERT_EQ(prompt.chunks.size(), 1u) << text;
  }
  EXPECT_THAT(ids_of(four.spec(), Chunk{}), ElementsAre(1, 2, 40, 40, 40, 40));
}

TEST(Chunks, TensorsHaveARowAChunk) {
  const Tokenizer two = tokenizer(2);
  const std::vector<Chunk> chunks = chunked(two, parts_of("red [red] red"), 2).chunks;
  EXPECT_TRUE(
      at::equal(ids_tensor(two.spec(), chunks), at::tensor({1, 3, 3, 2, 1, 3, 2, 40}, at::kLong).view({1, 2, 4})));
  const Tensor weights = weights_tensor(two.spec(), chunks);
  EXPECT_EQ(weights.scalar_type(), at::kFloat);
  EXPECT_TRUE(
      at::allclose(weights, at::tensor({1.0, 1.0, 1 / 1.1, 1.0, 1.0, 1.0, 1.0, 1.0}).to(at::kFloat).view({1, 2, 4})));
}

TEST(Chunks, PartsAreCutIntoPiecesAlone) {
  EXPECT_THAT(texts(dealt("app(le:1.2)", 8, 1)), ElementsAre(_ + "app" + _ + "le"));
  EXPECT_THAT(texts(dealt("app(le:1)", 8, 1)), ElementsAre(_ + "apple"));  // one weight, one text
}

TEST(Chunks, WhatDoesNotFitGoesToFurtherChunksAndIsThenCut) {
  EXPECT_THAT(texts(dealt(reds(7), 3, 3)), ElementsAre(red_pieces(3), red_pieces(3), red_pieces(1)));
  EXPECT_THAT(texts(dealt(reds(6), 3, 3)), ElementsAre(red_pieces(3), red_pieces(3)));
  const ChunkedPrompt cut = dealt(reds(4) + " (apples pie:1.2) BREAK red", 3, 2);
  EXPECT_THAT(texts(cut), ElementsAre(red_pieces(3), _ + "red" + _ + "apple"));
  EXPECT_EQ(cut.dropped_words, "s pie red");
}

// ---- commas

TEST(Chunks, WhatStandsAfterACommaMovesOnWithItsWeight) {
  EXPECT_THAT(texts(dealt("red red, red red red", 5, 2)), ElementsAre(red_pieces(2) + ",", red_pieces(3)));
  const ChunkedPrompt moved = dealt("red, red (red red:1.5)", 4, 2);
  EXPECT_THAT(texts(moved), ElementsAre(_ + "red,", red_pieces(3)));
  EXPECT_THAT(moved.chunks[1].weights, ElementsAre(1, 1.5, 1.5));
}

TEST(Chunks, AChunkThatIsExactlyFullStays) {
  EXPECT_THAT(texts(dealt("red, red red", 4, 2)), ElementsAre(_ + "red," + red_pieces(2)));
}

// The comma is one of the twenty.
TEST(Chunks, ACommaFartherBackThanTwentyPiecesIsPassedOver) {
  const std::string prompt = reds(11) + ", " + reds(21);
  EXPECT_THAT(texts(dealt(prompt, 31, 2)), ElementsAre(red_pieces(11) + ",", red_pieces(21)));
  EXPECT_THAT(texts(dealt(prompt, 32, 2)), ElementsAre(red_pieces(11) + "," + red_pieces(20), red_pieces(1)));
}

// As in the web UI: the comma that finds the chunk full opens the next one, and is not remembered there.
TEST(Chunks, ACommaAtTheStartOfAChunkIsPassedOver) {
  EXPECT_THAT(texts(dealt(reds(3) + ", " + reds(3), 3, 3)),
              ElementsAre(red_pieces(3), "," + red_pieces(2), red_pieces(1)));
}

TEST(Chunks, NoWordIsLostForAComma) {
  EXPECT_THAT(texts(dealt("red, red red red", 3, 1)), ElementsAre(_ + "red," + _ + "red"));
  EXPECT_EQ(dealt("red, red red red", 3, 1).dropped_words, "red red");
  // With the rule six pieces take three chunks of three.
  EXPECT_THAT(texts(dealt("red, red red red red", 3, 2)), ElementsAre(_ + "red," + _ + "red", red_pieces(3)));
  EXPECT_THAT(dealt("red, red red red red", 3, 2).dropped_words, IsEmpty());
  EXPECT_THAT(texts(dealt("red, red red red red", 3, 3)), ElementsAre(_ + "red,", red_pieces(3), red_pieces(1)));
}

// ---- BREAK

TEST(Chunks, BreakStartsAChunk) {
  EXPECT_THAT(texts(dealt("red BREAK red red", 5, 3)), ElementsAre(red_pieces(1), red_pieces(2)));
  EXPECT_THAT(texts(dealt("red BREAK", 5, 3)), ElementsAre(red_pieces(1)));
  EXPECT_THAT(texts(dealt("BREAK red", 5, 3)), ElementsAre("", red_pieces(1)));
  EXPECT_THAT(texts(dealt("red BREAK BREAK red", 5, 3)), ElementsAre(red_pieces(1), "", red_pieces(1)));
  EXPECT_THAT(texts(dealt("BREAK", 5, 3)), ElementsAre(""));
  EXPECT_THAT(texts(dealt("BREAK BREAK", 5, 3)), ElementsAre("", ""));
}

TEST(Chunks, InTheLastChunkBreakIsPassedOver) {
  const ChunkedPrompt one = dealt("red BREAK red", 5, 1);
  EXPECT_THAT(texts(one), ElementsAre(red_pieces(2)));
  EXPECT_TRUE(one.break_ignored);
  EXPECT_FALSE(dealt("red BREAK", 5, 1).break_ignored);
  EXPECT_FALSE(dealt("red BREAK red", 5, 2).break_ignored);
}

// ---- nothing is lost

std::string random_prompt(std::mt19937& random) {
  static const std::vector<std::string> kBits = {"red", "apple",     "pie",   "s",     "a",       ",",   ", ",    " ",
                                                 " ",   "(red:1.3)", "((a))", "[pie]", " BREAK ", "\\(", "\u00e9"};
  std::string prompt;
  for (size_t count = random() % 40; count > 0; --count) prompt += kBits[random() % kBits.size()];
  return prompt;
}

/// Without white space: pieces have the model's own.
std::string letters(std::string text) {
  for (const std::string& space : {_, " "s}) {
    for (size_t at; (at = text.find(space)) != std::string::npos;) text.erase(at, space.size());
  }
  return text;
}

TEST(Chunks, PiecesAndWhatIsCutAreThePrompt) {
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    const std::string prompt = random_prompt(random);
    const int64_t room = 1 + random() % 9, most = 1 + random() % 5;
    const ChunkedPrompt found = dealt(prompt, room, most);
    std::string all;
    for (const Chunk& chunk : found.chunks) {
      ASSERT_LE(chunk.pieces.size(), static_cast<size_t>(room)) << prompt;
      ASSERT_EQ(chunk.pieces.size(), chunk.weights.size()) << prompt;
      all += text_of(chunk);
    }
    ASSERT_LE(found.chunks.size(), static_cast<size_t>(most)) << prompt;
    ASSERT_EQ(letters(all + found.dropped_words), letters(steplapse::text_of(parts_of(prompt)))) << prompt;
    if (!found.dropped_words.empty()) {
      ASSERT_EQ(found.chunks.back().pieces.size(), static_cast<size_t>(room)) << prompt;
    }
  }
}

TEST(Chunks, PlainIsTheSameAsWeightsForTextWithoutSyntax) {
  const std::string prompt = "red apple, pie";
  const auto plain = parse_syntax(prompt, PromptSyntax::plain, "PROMPT").parts;
  EXPECT_EQ(texts(chunked(tokenizer(3), plain, 3)), texts(dealt(prompt, 3, 3)));
}

}  // namespace
}  // namespace steplapse
