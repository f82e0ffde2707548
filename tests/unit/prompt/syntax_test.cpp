#include "prompt/syntax.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "steplapse/error.h"

namespace steplapse {

void PrintTo(const PromptPart& part, std::ostream* out) {
  *out << (part.starts_chunk ? "BREAK " : "") << "'" << part.text << "' x " << part.weight << " at " << part.begin;
}

namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StrEq;
using testing::ThrowsMessage;

std::vector<PromptPart> parts(std::string_view prompt) {
  return parse_syntax(prompt, PromptSyntax::weights, "PROMPT").parts;
}
std::vector<std::string> warnings(std::string_view prompt) {
  return parse_syntax(prompt, PromptSyntax::weights, "PROMPT").warnings;
}

/// Text and weight, to rounding.
auto weighs(const std::string& text, double weight) {
  return testing::AllOf(testing::Field(&PromptPart::text, text),
                        testing::Field(&PromptPart::weight, testing::DoubleNear(weight, 1e-12)));
}

auto begins_chunk(bool begins) { return testing::Field(&PromptPart::starts_chunk, begins); }

// ---- weights: the expected values are those that the web UI's help gives

TEST(PromptSyntax, TextWithoutSyntaxIsOnePart) {
  for (const std::string prompt : {"red apple", "", "a, b; c", "caf\u00e9 \U0001f34e\n{x|y} a: b <3", "12:30"}) {
    EXPECT_THAT(parts(prompt), ElementsAre(PromptPart{prompt})) << prompt;
    EXPECT_THAT(warnings(prompt), IsEmpty()) << prompt;
    EXPECT_EQ(parts(prompt), parse_syntax(prompt, PromptSyntax::plain, "PROMPT").parts) << prompt;
  }
}

TEST(PromptSyntax, RoundBracketsRaiseAndSquareOnesLower) {
  EXPECT_THAT(parts("an (important) word"),
              ElementsAre(weighs("an ", 1), weighs("important", 1.1), weighs(" word", 1)));
  EXPECT_THAT(parts("((word))"), ElementsAre(weighs("word", 1.21)));
  EXPECT_THAT(parts("[word]"), ElementsAre(weighs("word", 1 / 1.1)));
  EXPECT_THAT(parts("([word])"), ElementsAre(weighs("word", 1)));
  EXPECT_THAT(parts("()[]"), ElementsAre(PromptPart{}));
}

TEST(PromptSyntax, AWeightTakesThePlaceOfOnePointOneAndMultipliesTheOuterOnes) {
  EXPECT_THAT(parts("(red:1.4) apple"), ElementsAre(weighs("red", 1.4), weighs(" apple", 1)));
  EXPECT_THAT(parts("a (((house:1.3)) [on] a (hill:0.5), sun, (((sky)))).").size(), 9u);
  EXPECT_THAT(
      parts("a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))))."),
      ElementsAre(weighs("a ", 1), weighs("house", 1.573), weighs(" ", 1.1), weighs("on", 1), weighs(" a ", 1.1),
                  weighs("hill", 0.55), weighs(", sun, ", 1.1), weighs("sky", 1.4641), weighs(".", 1)));
  EXPECT_THAT(parts("([x:y] z:2)"), ElementsAre(weighs("x:y", 2 / 1.1), weighs(" z", 2)));
}

TEST(PromptSyntax, NumbersMayLackASideOfTheirPointAndHaveASign) {
  for (const auto& [text, weight] : std::vector<std::pair<std::string, double>>{{"1.", 1},
                                                                                {".5", 0.5},
                                                                                {"+1.5", 1.5},
                                                                                {"-1", -1},
                                                                                {"0", 0},
                                                                                {" 1.2 ", 1.2},
                                                                                {"\t2\n", 2},
                                                                                {"100", 100},
                                                                                {"-.25", -0.25},
                                                                                {"01.5", 1.5}}) {
    EXPECT_THAT(parts("(x:" + text + ")"), ElementsAre(weighs("x", weight))) << text;
  }
}

TEST(PromptSyntax, OnlyTheLastColonSaysAWeight) {
  EXPECT_THAT(parts("(Re: Zero:1.2)"), ElementsAre(weighs("Re: Zero", 1.2)));
  EXPECT_THAT(parts("(1:2:3)"), ElementsAre(weighs("1:2", 3)));
  EXPECT_THAT(parts("(Re: (Zero))"), ElementsAre(weighs("Re: ", 1.1), weighs("Zero", 1.21)));
  EXPECT_THAT(parts("[a:b]"), ElementsAre(weighs("a:b", 1 / 1.1)));
}

TEST(PromptSyntax, BracketsOfTwoKindsMayCross) {
  EXPECT_THAT(parts("(a [b) c]"), ElementsAre(weighs("a ", 1.1), weighs("b", 1), weighs(" c", 1 / 1.1)));
}

TEST(PromptSyntax, NeighboursOfOneWeightAreOnePart) {
  EXPECT_THAT(parts("(unnecessary)(brackets)"), ElementsAre(weighs("unnecessarybrackets", 1.1)));
  EXPECT_EQ(parts("(red:1.0) apple"), std::vector<PromptPart>({{"red apple", 1, 1, false}}));
}

TEST(PromptSyntax, APartKnowsItsByte) {
  const auto found = parts("\u00e9 (b\\)c) BREAK d");
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].begin, 0u);
  EXPECT_EQ(found[1].begin, 4u);
  EXPECT_EQ(found[2].begin, 16u);
}

// ---- escapes

TEST(PromptSyntax, ABackslashMakesACharacterText) {
  EXPECT_THAT(parts("\\(literal\\]"), ElementsAre(weighs("(literal]", 1)));
  EXPECT_THAT(parts("(smile \\(wide\\):1.2)"), ElementsAre(weighs("smile (wide)", 1.2)));
  EXPECT_THAT(parts("a\\\\b"), ElementsAre(weighs("a\\b", 1)));
  EXPECT_THAT(parts("\\\\(a)"), ElementsAre(weighs("\\", 1), weighs("a", 1.1)));
  EXPECT_THAT(parts("(12\\:30)"), ElementsAre(weighs("12:30", 1.1)));
  EXPECT_THAT(parts("[a\\|b\\:3]"), ElementsAre(weighs("a|b:3", 1 / 1.1)));
  EXPECT_THAT(parts("\\\u00e9\\BREAK \\AND"), ElementsAre(weighs("\u00e9BREAK AND", 1)));
  EXPECT_THAT(parts("\\<lora:x:1>"), ElementsAre(weighs("<lora:x:1>", 1)));
  EXPECT_THAT(parts("end\\"), ElementsAre(weighs("end\\", 1)));
  for (const char* prompt : {"\\(literal\\]", "(12\\:30)", "\\\u00e9\\BREAK \\AND", "\\<lora:x:1>", "end\\"}) {
    EXPECT_THAT(warnings(prompt), IsEmpty()) << prompt;
  }
}

// ---- BREAK

TEST(PromptSyntax, BreakStartsAChunkAndTakesTheSpaceAroundIt) {
  for (const char* prompt : {"a BREAK b", "a\n  BREAK\t\nb", "aBREAK BREAK b"}) {
    const auto found = parts(prompt);
    ASSERT_EQ(found.size(), 2u) << prompt;
    EXPECT_THAT(found, ElementsAre(begins_chunk(false), begins_chunk(true)));
    EXPECT_EQ(found[1].text, "b");
  }
  EXPECT_THAT(parts("a,BREAK,b"), ElementsAre(weighs("a,", 1), weighs(",b", 1)));
  EXPECT_THAT(parts("BREAK a"), ElementsAre(PromptPart{"a", 1, 6, true}));
  EXPECT_THAT(parts("a BREAK"), ElementsAre(PromptPart{"a"}, PromptPart{"", 1, 7, true}));
  EXPECT_EQ(parts("a BREAK BREAK b").size(), 3u);
}

TEST(PromptSyntax, WeightsReachOverABreak) {
  const auto found = parts("(a BREAK b:1.5)");
  EXPECT_THAT(found, ElementsAre(weighs("a", 1.5), weighs("b", 1.5)));
  EXPECT_TRUE(found[1].starts_chunk);
  EXPECT_THAT(parts("a BREAK (b)"), ElementsAre(PromptPart{"a"}, PromptPart{"b", 1.1, 9, true}));
}

TEST(PromptSyntax, BreakInAWordIsNone) {
  for (const char* prompt :
       {"BREAKFAST", "Break", "break", "BREAK_", "\u00c9BREAK", "BREAK\u00c9", "\\BREAK", "5BREAK"}) {
    EXPECT_EQ(parts(prompt).size(), 1u) << prompt;
    EXPECT_FALSE(parts(prompt)[0].starts_chunk) << prompt;
  }
}

TEST(PromptSyntax, TheWordsAloneHaveASpaceForABreak) {
  EXPECT_EQ(text_of(parts("(red:1.4) [apple] BREAK \\(blue\\) <lora:x:1>whale")), "red apple (blue) whale");
  EXPECT_EQ(text_of(parts("BREAK a")), "a");
}

// ---- what is noted

TEST(PromptSyntax, ABracketWithoutPartnerIsText) {
  EXPECT_THAT(parts("(unbalanced"), ElementsAre(PromptPart{"(unbalanced"}));
  EXPECT_THAT(parts("a) (b)"), ElementsAre(weighs("a) ", 1), weighs("b", 1.1)));
  EXPECT_THAT(parts("x:1.3)"), ElementsAre(PromptPart{"x:1.3)"}));
  EXPECT_THAT(warnings("\u00e9 (unbalanced"),
              ElementsAre("PROMPT, column 3: '(' has no partner and is text; where it is meant so, write '\\('"));
  EXPECT_THAT(
      warnings("a\nb] [[((c)"),
      ElementsAre(
          "PROMPT, line 2, column 2: ']' has no partner and is text; where it is meant so, write '\\]' (and 3 more)"));
}

TEST(PromptSyntax, TimesAndRatiosInBracketsAreWeightsWithAWarning) {
  EXPECT_THAT(parts("(12:30)"), ElementsAre(weighs("12", 30)));
  EXPECT_THAT(warnings("(12:30)"),
              ElementsAre("PROMPT, column 4: ':30' is a weight; for a time or a ratio write '\\:'"));
  EXPECT_THAT(warnings("(area 51:1.2)"), IsEmpty());
}

TEST(PromptSyntax, AColonInSquareBracketsIsTextWithAWarning) {
  const std::string meant = " is text, the brackets weigh 1 / 1.1; where it is meant so, write '\\:'";
  EXPECT_THAT(parts("[cat:dog:50%]"), ElementsAre(weighs("cat:dog:50%", 1 / 1.1)));
  EXPECT_THAT(warnings("[cat:dog:50%]"), ElementsAre("PROMPT, column 5: ':' in '[cat:dog:50%]'" + meant));
  EXPECT_THAT(warnings("a [cat:dog:]"), ElementsAre("PROMPT, column 7: ':' in '[cat:dog:]'" + meant));
  EXPECT_THAT(warnings("([red:(blue)]) [x:y]"),
              ElementsAre("PROMPT, column 6: ':' in '[red:(blue)]'" + meant + " (and 1 more)"));
  for (const char* prompt : {"[red\\:blue]", "[(red:1.2) blue]", "a: [b] :c", "[a [b] c", "red:blue]"}) {
    for (const std::string& warning : warnings(prompt))
      EXPECT_THAT(warning, testing::HasSubstr("no partner")) << prompt;
  }
}

TEST(PromptSyntax, TagsOfLorasAreLeftOut) {
  EXPECT_THAT(parts("apple<lora:add_detail:0.8>"), ElementsAre(PromptPart{"apple"}));
  EXPECT_THAT(
      warnings("a <lora:\x1b:0.8> <lyco:y:1>"),
      ElementsAre("PROMPT, column 3: '<lora:\\u{1b}:0.8>' is left out: a LoRA is merged into the model when its bundle "
                  "is exported (and 1 more)"));
  EXPECT_THAT(parts("<lora:> <lora: <b>"), ElementsAre(PromptPart{"<lora:> ", 1, 0, false}));
}

TEST(PromptSyntax, AndIsAWord) {
  EXPECT_THAT(parts("salt AND pepper"), ElementsAre(PromptPart{"salt AND pepper"}));
  EXPECT_THAT(warnings("salt AND pepper"),
              ElementsAre("PROMPT, column 6: AND is a word here, prompts are not composed"));
  EXPECT_THAT(warnings("BRAND and ANDES"), IsEmpty());
}

TEST(PromptSyntax, PlainTakesTheTextAsItIs) {
  const std::string prompt = "(a:b) [c|d] \\( BREAK <lora:x:1> ((";
  const ParsedPrompt parsed = parse_syntax(prompt, PromptSyntax::plain, "PROMPT");
  EXPECT_THAT(parsed.parts, ElementsAre(PromptPart{prompt}));
  EXPECT_THAT(parsed.warnings, IsEmpty());
}

// ---- what is refused

void expect_refusal(const std::string& prompt, const std::string& message) {
  EXPECT_THAT([&] { parts(prompt); }, ThrowsMessage<UsageError>(StrEq(message))) << prompt;
}

TEST(PromptSyntax, AWeightThatIsNoNumberIsRefusedAtItsPlace) {
  const std::string way_out =
      ", expected a weight as in (word:1.2); for the text itself write '\\:', or `prompt_syntax` plain";
  expect_refusal("a (red: big) b", "PROMPT, column 9: 'big' after ':' in '(red: big)'" + way_out);
  expect_refusal("a\n\u00e9 (x:)", "PROMPT, line 2, column 6: nothing after ':' in '(x:)'" + way_out);
  for (const std::string text :
       {"inf", "nan", "1e3", "1.2.3", "1,2", "--1", "+-1", "0x1", ".", "-", "1.2 3", "1|2", "\\(1", "\u0661"}) {
    expect_refusal("(x:" + text + ")", "PROMPT, column 4: '" + text + "' after ':' in '(x:" + text + ")'" + way_out);
  }
  const std::string digits(400, '9');
  EXPECT_THROW(parts("(x:" + digits + ")"), UsageError);
}

TEST(PromptSyntax, WhatIsShownIsEscaped) {
  expect_refusal("(x:\x1b[31m)",
                 "PROMPT, column 4: '\\u{1b}[31m' after ':' in '(x:\\u{1b}[31m)', expected a weight as in "
                 "(word:1.2); for the text itself write '\\:', or `prompt_syntax` plain");
}

TEST(PromptSyntax, WeightsBeyondAHundredAreRefused) {
  const std::string way_out = ", expected -100 to 100; for the text itself write '\\:', or `prompt_syntax` plain";
  expect_refusal("a (b:100.1)", "PROMPT, column 4: the weight of 'b' comes to 100.1" + way_out);
  expect_refusal("((b:-11):11)", "PROMPT, column 3: the weight of 'b' comes to -121" + way_out);
  const std::string huge(300, '9');
  expect_refusal("(((b:" + huge + "):" + huge + "):0)", "PROMPT, column 4: the weight of 'b' comes to nan" + way_out);
  EXPECT_THAT(parts("((b:1000):0.1)"), ElementsAre(weighs("b", 100)));
}

TEST(PromptSyntax, WordsThatChangeOnTheWayAreRefused) {
  const std::string way_out = " steplapse does not do; for the text itself write '\\";
  const std::string editing =
      " asks for prompt editing (words that change on the way), which" + way_out + ":', or `prompt_syntax` plain";
  for (const std::string bracket : {"[red:blue:0.5]", "[red::4]", "[:blue: 1e1 ]", "[blue:3]", "[(red:1.2):+.5]"}) {
    expect_refusal("a " + bracket + " b", "PROMPT, column 3: '" + bracket + "'" + editing);
  }
  const std::string alternation = " asks for alternating words, which" + way_out + "|', or `prompt_syntax` plain";
  expect_refusal("[red|blue] apple", "PROMPT, column 1: '[red|blue]'" + alternation);
  expect_refusal("([red|blue|])", "PROMPT, column 2: '[red|blue|]'" + alternation);
  EXPECT_THAT(parts("[(a|b)]"), ElementsAre(weighs("a|b", 1)));
  EXPECT_THAT(parts("a|b"), ElementsAre(PromptPart{"a|b"}));
}

TEST(PromptSyntax, BracketsNestAHundredDeep) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + "x" + std::string(depth, ']'); };
  EXPECT_THAT(parts(nested(100)), ElementsAre(weighs("x", std::pow(1.1, -100))));
  expect_refusal(nested(101),
                 "PROMPT, column 101: brackets more than 100 deep; for the text itself write '\\[', or "
                 "`prompt_syntax` plain");
  EXPECT_THROW(parts(nested(50'000)), UsageError);
}

// ---- sizes

TEST(PromptSyntax, LongPromptsTakeNoTime) {
  const auto repeated = [](const std::string& text) {
    std::string prompt;
    while (prompt.size() + text.size() <= 100'000) prompt += text;
    return prompt;
  };
  const auto start = std::chrono::steady_clock::now();
  for (const char* text :
       {"(",      ")",        "[",    "]",     "\\", "\\(", ":",  "(a)",  "[a](b)", "a BREAK ",        "BREAK",
        "<lora:", "<lora:x>", "AND ", "(a:1)", "a:", "|",   "a ", "([)]", "(1:2)",  "\xf0\x9f\x8d\x8e"}) {
    const auto found = parts(repeated(text));
    EXPECT_FALSE(found.empty()) << text;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));  // some 0.1 s on an idle machine
}

}  // namespace
}  // namespace steplapse
