#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/aten.h"
#include "plan/plan.h"
#include "support/bundle_maker.h"
#include "support/sentencepiece_model.h"

namespace steplapse {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// The handmade bundle: two pieces a chunk; its text encoder answers row [2i, 2i + 1] for id i, times the weight.
EncodedPrompts encode(const std::string& no_negative_prompt, const Settings& settings, int64_t max_chunks = 3) {
  test_support::BundleMaker maker;
  maker.manifest["max_chunks"] = max_chunks;
  maker.manifest["no_negative_prompt"] = no_negative_prompt;
  const Bundle bundle = load_bundle(maker.write());
  return encode_prompts(bundle, make_plan(bundle.manifest(), settings).prompts);
}

/// What the encoder answers for these ids and weights.
Tensor rows(const std::vector<double>& ids, const std::vector<double>& weights) {
  const Tensor numbers = at::tensor(ids, at::kFloat), first = 2 * numbers;
  return (at::stack({first, first + 1}, -1) * at::tensor(weights, at::kFloat).unsqueeze(-1)).unsqueeze(0);
}

Settings prompting(const std::string& prompt, std::optional<std::string> negative_prompt = std::nullopt) {
  Settings settings;
  settings.prompt = prompt;
  settings.schedule = "trailing";
  settings.negative_prompt = negative_prompt;
  return settings;
}

TEST(EncodePrompts, BothBranchesHaveAsManyChunks) {
  const EncodedPrompts encoded = encode("encode_empty", prompting("red red (red:1.5)"));
  ASSERT_EQ(encoded.guidance.cond.size(), 1u);
  EXPECT_TRUE(at::equal(encoded.guidance.cond[0], rows({1, 3, 3, 2, 1, 3, 2, 0}, {1, 1, 1, 1, 1, 1.5, 1, 1})));
  EXPECT_TRUE(at::equal(encoded.guidance.uncond.at(0), rows({1, 2, 0, 0, 1, 2, 0, 0}, std::vector<double>(8, 1))));
  EXPECT_THAT(encoded.warnings, IsEmpty());

  const EncodedPrompts longer = encode("encode_empty", prompting("red", "red red red"));
  EXPECT_TRUE(at::equal(longer.guidance.cond[0], rows({1, 3, 2, 0, 1, 2, 0, 0}, std::vector<double>(8, 1))));
  EXPECT_TRUE(at::equal(longer.guidance.uncond[0], rows({1, 3, 3, 2, 1, 3, 2, 0}, std::vector<double>(8, 1))));
}

/// Two tokenizers over the same model: two pieces a chunk, padded with 0, and five, padded with 9.
TokenizedPrompts tokenize_twice(const Settings& settings, int64_t max_chunks) {
  test_support::BundleMaker maker;
  maker.manifest["max_chunks"] = max_chunks;
  const Manifest manifest = read_manifest(maker.write());
  std::vector<Tokenizer> tokenizers;
  tokenizers.emplace_back(Manifest::Tokenizer{TokenizerKind::sentencepiece, {"a"}, 4, 1, 2, 0}, std::vector{kModel});
  tokenizers.emplace_back(Manifest::Tokenizer{TokenizerKind::sentencepiece, {"a"}, 7, 1, 2, 9}, std::vector{kModel});
  return tokenize_prompts(manifest, tokenizers, make_plan(manifest, settings).prompts);
}

TEST(TokenizePrompts, AllTokenizersHaveAsManyChunks) {
  const TokenizedPrompts prompts = tokenize_twice(prompting("red red red"), 2);
  ASSERT_EQ(prompts.prompt.size(), 2u);
  ASSERT_EQ(prompts.negative.size(), 2u);
  std::vector<size_t> used;
  for (const auto* branch : {&prompts.prompt, &prompts.negative}) {
    for (const auto& chunks : *branch) {
      ASSERT_EQ(chunks.size(), 2u);
      for (const Chunk& chunk : chunks) used.push_back(chunk.pieces.size());
    }
  }
  EXPECT_THAT(used, ElementsAre(2, 1, 3, 0, 0, 0, 0, 0));
}

TEST(TokenizePrompts, WarnsForEachTokenizerOfWhatItLeavesOut) {
  EXPECT_THAT(tokenize_twice(prompting("red red red red red s"), 1).warnings,
              ElementsAre("the prompt is longer than the model's 4 tokens; left out: 'red red red s'",
                          "the prompt is longer than the model's 7 tokens; left out: 's'"));
}

TEST(EncodePrompts, NoNegativePromptMayBeZerosOfTheSameShape) {
  const EncodedPrompts zeros = encode("zeros", prompting("red red red"));
  EXPECT_TRUE(at::equal(zeros.guidance.uncond.at(0), at::zeros({1, 8, 2})));
  const EncodedPrompts given = encode("zeros", prompting("red red red", ""));
  EXPECT_TRUE(at::equal(given.guidance.uncond.at(0), rows({1, 2, 0, 0, 1, 2, 0, 0}, std::vector<double>(8, 1))));
}

TEST(EncodePrompts, WhatIsNotAskedIsNotEncoded) {
  Settings settings = prompting("red", "red red red");
  settings.guidance_scale = 1;
  const EncodedPrompts encoded = encode("encode_empty", settings);
  EXPECT_THAT(encoded.guidance.uncond, IsEmpty());
  EXPECT_EQ(encoded.guidance.cond[0].size(1), 4);
}

TEST(EncodePrompts, WarnsOfWhatIsLeftOut) {
  EXPECT_THAT(encode("zeros", prompting("red red (red s:1.2)"), 1).warnings,
              ElementsAre("the prompt is longer than the model's 4 tokens; left out: 'red s'"));
  EXPECT_THAT(encode("zeros", prompting("red BREAK red", "red red red red red"), 2).warnings,
              ElementsAre("the negative prompt is longer than the model's 2 chunks of 4 tokens; left out: 'red'"));
  EXPECT_THAT(
      encode("zeros", prompting("red BREAK red"), 1).warnings,
      ElementsAre(
          "the prompt has a BREAK beyond the model's 1 chunk of 4 tokens; the words after it go on in the last"));
}

}  // namespace
}  // namespace steplapse
