#include "model/taught_prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "steplapse/error.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;
using testing::StrEq;
using testing::ThrowsMessage;

const char* const kJson = R"([
  {"name": "red apple", "keywords": ["fruit", "red"], "picture": "🍎"},
  {"name": "strawberry", "keywords": ["berry", "fruit"]},
  {"name": "rocket", "keywords": ["space"]},
  {"name": "flag: Türkiye", "keywords": []}
])";

std::vector<TaughtPrompt> taught() { return parse_prompts(kJson, "prompts.json"); }

std::vector<std::string> names(const std::vector<TaughtPrompt>& prompts) {
  std::vector<std::string> names;
  for (const TaughtPrompt& prompt : prompts) names.push_back(prompt.name);
  return names;
}

TEST(Prompts, AreReadInOrder) {
  EXPECT_THAT(names(taught()), ElementsAre("red apple", "strawberry", "rocket", "flag: Türkiye"));
  EXPECT_THAT(taught()[1].keywords, ElementsAre("berry", "fruit"));
  EXPECT_THAT(parse_prompts("[]", "p"), IsEmpty());
}

TEST(Prompts, FileThatIsNotAsDocumentedIsRefused) {
  const auto error = [](const char* json, const char* message) {
    EXPECT_THAT([&] { parse_prompts(json, "p.json"); }, ThrowsMessage<BundleError>(StrEq(message)));
  };
  error("[", "p.json: not JSON");
  error("[\"\xff\"]", "p.json: not JSON");
  error("{}", "p.json: expected a list of prompts");
  error("[7]", "p.json: entry 1 is no object");
  error(R"([{"name": "a", "keywords": []}, {"keywords": []}])", "p.json: entry 2 has no text 'name'");
  error(R"([{"name": 1, "keywords": []}])", "p.json: entry 1 has no text 'name'");
  error(R"([{"name": "a"}])", "p.json: entry 1 has no list of texts 'keywords'");
  error(R"([{"name": "a", "keywords": "b"}])", "p.json: entry 1 has no list of texts 'keywords'");
  error(R"([{"name": "a", "keywords": [1]}])", "p.json: entry 1 has no list of texts 'keywords'");
}

TEST(Prompts, AreFoundByTheirWords) {
  EXPECT_THAT(names(search_prompts(taught(), "FRUIT")), ElementsAre("red apple", "strawberry"));
  EXPECT_THAT(names(search_prompts(taught(), "berry")), ElementsAre("strawberry"));
  EXPECT_THAT(names(search_prompts(taught(), "fruit, red")), ElementsAre("red apple"));
  EXPECT_THAT(names(search_prompts(taught(), "TÜRKIYE")), ElementsAre("flag: Türkiye"));
  EXPECT_THAT(search_prompts(taught(), "whale"), IsEmpty());
  EXPECT_EQ(search_prompts(taught(), " ").size(), 4u);
}

TEST(Prompts, OneKnownWordIsEnough) {
  for (const char* prompt : {"a Red house", "space", "berry!", "türkiye"}) {
    EXPECT_EQ(unknown_warning(taught(), prompt), std::nullopt) << prompt;
  }
}

// pocket is 1 letter of 6 from rocket, aple 1 of 5 from apple; nothing else is near.
TEST(Prompts, WarnsOfAPromptItKnowsNothingOf) {
  EXPECT_THAT(unknown_warning(taught(), "Aple pocket"),
              Optional(StrEq("the model was not taught any word of 'Aple pocket'; nearest names: rocket, red apple "
                             "(all: steplapse model prompts)")));
}

// The nearest is rocket, 5 letters of 8 away.
TEST(Prompts, NamesNoneWhereNoneIsNear) {
  EXPECT_THAT(
      unknown_warning(taught(), "rrrrckzz"),
      Optional(StrEq("the model was not taught any word of 'rrrrckzz'; steplapse model prompts lists what it was")));
}

TEST(Prompts, NamesThreeAtMost) {
  const std::vector<TaughtPrompt> cats = {{"cata", {}}, {"catb", {}}, {"catc", {}}, {"catd", {}}};
  EXPECT_THAT(unknown_warning(cats, "cat"), Optional(testing::HasSubstr("names: cata, catb, catc (all")));
}

TEST(Prompts, BlankPromptIsNoMistake) {
  EXPECT_EQ(unknown_warning(taught(), ""), std::nullopt);
  EXPECT_EQ(unknown_warning(taught(), " \n"), std::nullopt);
  EXPECT_NE(unknown_warning(taught(), "🐳"), std::nullopt);
}

// "of" is in a name here, but says nothing of what is wanted.
TEST(Prompts, ShortWordsCountOnlyAlone) {
  const std::vector<TaughtPrompt> hearts = {{"ace of hearts", {}}};
  EXPECT_NE(unknown_warning(hearts, "flock of sheep"), std::nullopt);
  EXPECT_EQ(unknown_warning(hearts, "of"), std::nullopt);
  EXPECT_NE(unknown_warning(hearts, "on"), std::nullopt);
}

TEST(Prompts, LongPromptIsComparedInPart) {
  std::string prompt;
  for (int i = 0; i < 1000; ++i) prompt += std::string(1000, 'x').append(" ");
  ASSERT_TRUE(unknown_warning(taught(), prompt).has_value());
  EXPECT_LT(unknown_warning(taught(), prompt)->size(), 300u);
}

}  // namespace
}  // namespace steplapse
