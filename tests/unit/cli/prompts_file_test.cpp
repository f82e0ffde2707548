#include "cli/prompts_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "steplapse/error.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::StrEq;
using testing::ThrowsMessage;

const std::vector<std::string> kKnown{"negative_prompt", "seed", "steps", "timesteps"};

std::vector<PromptsLine> read(const std::string& text) { return prompts_in(text, "list.txt", kKnown); }

TEST(PromptsFile, HasAPromptALine) {
  const auto lines = read("red apple\n\n# a comment\n  two  spaces \r\nlast, without a line end");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].prompt, "red apple");
  EXPECT_EQ(lines[0].place, "list.txt:1");
  EXPECT_THAT(lines[0].settings, IsEmpty());
  EXPECT_EQ(lines[1].prompt, "  two  spaces ");
  EXPECT_EQ(lines[1].place, "list.txt:4");
  EXPECT_EQ(lines[2].prompt, "last, without a line end");
}

TEST(PromptsFile, ByteOrderMarkIsNoPartOfThePrompt) { EXPECT_EQ(read("\xEF\xBB\xBFred apple")[0].prompt, "red apple"); }

TEST(PromptsFile, ALineOfJsonHasItsOwnSettingsAsFlagsHaveThem) {
  const auto lines =
      read(R"({"prompt": "{pear}", "steps": 30, "seed": [1, 2], "timesteps": [999, 0.5], "negative_prompt": null})");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].prompt, "{pear}");
  EXPECT_THAT(lines[0].settings, ElementsAre(Pair("negative_prompt", std::nullopt), Pair("seed", "1,2"),
                                             Pair("steps", "30"), Pair("timesteps", "999,0.5")));
}

TEST(PromptsFile, WhatIsWrongIsSaidWithItsLine) {
  const auto refused = [](const std::string& text, const std::string& message) {
    EXPECT_THAT([&] { read("good\n" + text); }, ThrowsMessage<UsageError>(StrEq("list.txt:2: " + message)));
  };
  refused("{red|green} apple",
          "is not JSON: wrong at byte 2 of 17; a line that begins with { is taken for JSON, a prompt that begins "
          "so is written {\"prompt\": \"{...\"}");
  refused(R"({"steps": 3})", "no text 'prompt' in it");
  refused(R"({"prompt": 3})", "no text 'prompt' in it");
  refused(R"({"prompt": "a", "stpes": 3})", "unknown key 'stpes', did you mean 'steps'?");
  refused(R"({"prompt": "a", "out": "b"})",
          "unknown key 'out'; choose from prompt, negative_prompt, seed, steps, timesteps");
  refused(R"({"prompt": "a", "steps": true})", "'steps' is true, expected a number, a text or a list of them");
  refused(R"({"prompt": "a", "seed": []})", "'seed' is a list of 0, expected a number, a text or a list of them");
  refused(R"({"prompt": "a", "seed": [[1]]})", "'seed' is a list of 1, expected a flat list");
  refused("--prompt a --st\x1b[31mps", "--st\\u{1b}[31mps: wants a value");
}

TEST(PromptsFile, WithoutAPromptIsRefused) {
  EXPECT_THAT([] { read("\n# nothing\n"); },
              ThrowsMessage<UsageError>(StrEq("--prompts 'list.txt': no prompt in it; expected one a line")));
}

}  // namespace
}  // namespace steplapse
