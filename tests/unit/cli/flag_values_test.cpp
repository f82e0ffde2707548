#include "cli/flag_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "steplapse/error.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::StrEq;
using testing::ThrowsMessage;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

auto refuses(const std::string& message) { return ThrowsMessage<UsageError>(StrEq(message)); }

TEST(WholeNumber, IsDigitsBetweenItsEnds) {
  EXPECT_EQ(integer_number("--steps", "1", 1, 1000), 1);
  EXPECT_EQ(integer_number("--steps", "1000", 1, 1000), 1000);
  EXPECT_EQ(integer_number("--steps", "007", 1, 1000), 7);
  EXPECT_EQ(integer_number("--every", "9223372036854775807", 1, kMost), kMost);
}

TEST(WholeNumber, SaysWhatWasWanted) {
  for (const std::string text :
       {"0", "-5", "1001", "3.5", "1e9", "99999999999999999999", "", " 30", "30 ", "+30", "0x1e", "ten"}) {
    EXPECT_THAT([&] { integer_number("--steps", text, 1, 1000); },
                refuses("--steps '" + text + "': expected an integer from 1 to 1000"));
  }
  EXPECT_THAT([] { integer_number("--every", "0", 1, kMost); },
              refuses("--every '0': expected an integer of 1 or more"));
}

TEST(Seed, HasSixtyFourBits) {
  EXPECT_EQ(seed_number("--seed", "0"), 0u);
  EXPECT_EQ(seed_number("--seed", "948574399"), 948574399u);
  EXPECT_EQ(seed_number("--seed", "18446744073709551615"), 0xffff'ffff'ffff'ffffu);
  for (const std::string text : {"-2", "18446744073709551616", "1.0", "", "random"}) {
    EXPECT_THAT(
        [&] { seed_number("--seed", text); },
        refuses("--seed '" + text + "': expected an integer from 0 to 18446744073709551615, or -1 for a random one"));
  }
}

TEST(RealNumber, IsFiniteAndBetweenItsEnds) {
  EXPECT_EQ(real_number("--eta", "0", 0, 1), 0.0);
  EXPECT_EQ(real_number("--eta", "0.7", 0, 1), 0.7);
  EXPECT_EQ(real_number("--eta", "1e-3", 0, 1), 0.001);
  EXPECT_EQ(real_number("--guidance-scale", "7.5", 0, INFINITY), 7.5);
}

TEST(RealNumber, SaysWhatWasWanted) {
  for (const std::string text : {"1.5", "-0.1", "nan", "inf", "0,5", "", "half", "0.5 "}) {
    EXPECT_THAT([&] { real_number("--eta", text, 0, 1); },
                refuses("--eta '" + text + "': expected a number from 0 to 1"));
  }
  for (const std::string text : {"nan", "inf", "-inf", "1e999", "-1"}) {
    EXPECT_THAT([&] { real_number("--guidance-scale", text, 0, INFINITY); },
                refuses("--guidance-scale '" + text + "': expected a number of 0 or more"));
  }
}

TEST(Size, IsWidthThenHeight) {
  EXPECT_EQ(size_of("--size", "512x768"), (Manifest::Size{512, 768}));
  EXPECT_EQ(size_of("--size", "512X768"), size_of("--size", "512x768"));
  EXPECT_EQ(size_of("--size", "512*768"), size_of("--size", "512x768"));
  EXPECT_THAT([] { size_of("--size", "512"); }, refuses("--size '512': expected WIDTHxHEIGHT in pixels, as 512x512"));
  for (const std::string text : {"512x", "x768", "512x768x3", "0x64", "64x-64", "64 x 64", "", "64.0x64"}) {
    EXPECT_THAT([&] { size_of("--size", text); },
                refuses("--size '" + text + "': expected WIDTHxHEIGHT in pixels, as 512x768"));
  }
}

TEST(List, KeepsEmptyItemsSoThatTheyCanBeRefused) {
  EXPECT_THAT(list_of("x0,xt"), ElementsAre("x0", "xt"));
  EXPECT_THAT(list_of("x0"), ElementsAre("x0"));
  EXPECT_THAT(list_of(""), ElementsAre(""));
  EXPECT_THAT(list_of("x0,"), ElementsAre("x0", ""));
  EXPECT_THAT(list_of(",x0"), ElementsAre("", "x0"));
  EXPECT_THAT(list_of("x0,,xt"), ElementsAre("x0", "", "xt"));
}

TEST(Steps, AreASet) {
  EXPECT_THAT(steps_of("--at", "30,1,5,5"), ElementsAre(1, 5, 30));
  for (const std::string text : {"", "1,", "1,,5", "1;5", "1, 5", "1,x", "1.5", "1-5"}) {
    EXPECT_THAT([&] { steps_of("--at", text); },
                refuses("--at '" + text + "': expected step numbers with commas between, as 1,5,30"));
  }
}

TEST(Choice, IsOneOfThoseThereAreOrTheNearestIsNamed) {
  const std::vector<std::string> spacings{"leading", "linspace", "trailing"};
  EXPECT_EQ(choice_of("--schedule", "linspace", spacings), "linspace");
  EXPECT_THAT([&] { choice_of("--schedule", "trialing", spacings); },
              refuses("--schedule 'trialing': did you mean 'trailing'? choose from leading, linspace, trailing"));
  EXPECT_THAT([&] { choice_of("--schedule", "karras", spacings); },
              refuses("--schedule 'karras': choose from leading, linspace, trailing"));
  EXPECT_THAT([&] { choice_of("--schedule", "", spacings); },
              refuses("--schedule '': choose from leading, linspace, trailing"));
}

TEST(FlagValues, ThatAreNoPlainTextAreEscaped) {
  EXPECT_THAT([] { integer_number("--steps", "3\n\x1b[2J", 1, 9); },
              refuses("--steps '3\\n\\u{1b}[2J': expected an integer from 1 to 9"));
}

}  // namespace
}  // namespace steplapse
