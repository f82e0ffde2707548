#include "cli/sweep_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "steplapse/error.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::SizeIs;
using testing::StrEq;
using testing::ThrowsMessage;

std::vector<std::string> numbers(const std::string& text) { return axis_values("--x", text, AxisValues::numbers); }

TEST(SweepValues, RangesIncludeTheirEnds) {
  EXPECT_THAT(numbers("1..4"), ElementsAre("1", "2", "3", "4"));
  EXPECT_THAT(numbers("5..50:15"), ElementsAre("5", "20", "35", "50"));
  EXPECT_THAT(numbers("5..49:15"), ElementsAre("5", "20", "35"));  // 50 is beyond the end
  EXPECT_THAT(numbers("3..3"), ElementsAre("3"));
  EXPECT_THAT(numbers("5,10..30:10,50"), ElementsAre("5", "10", "20", "30", "50"));
}

TEST(SweepValues, RangesOfDecimalsDoNotDrift) {
  EXPECT_THAT(numbers("0.6..1.6:0.2"), ElementsAre("0.6", "0.8", "1", "1.2", "1.4", "1.6"));
  EXPECT_THAT(numbers("0..0.3:0.1"), ElementsAre("0", "0.1", "0.2", "0.3"));  // 3 * 0.1 is above 0.3 in binary
  EXPECT_THAT(numbers("-1..1:0.5"), ElementsAre("-1", "-0.5", "0", "0.5", "1"));
  EXPECT_THAT(numbers("1..1.05:.025"), ElementsAre("1", "1.025", "1.05"));
  EXPECT_EQ(numbers("0..10:0.01").back(), "10");
}

TEST(SweepValues, SeedsMayBeAsLargeAsTheyGet) {
  EXPECT_THAT(numbers("18446744073709551614..18446744073709551615"),
              ElementsAre("18446744073709551614", "18446744073709551615"));
}

TEST(SweepValues, BadOnesAreRefused) {
  const auto refused = [](const std::string& text, const std::string& message) {
    EXPECT_THAT([&] { numbers(text); }, ThrowsMessage<UsageError>(StrEq("--x " + message)));
  };
  refused("", "'': an empty value; expected one between commas");
  refused("1,,2", "'1,,2': an empty value; expected one between commas");
  refused("4..1", "'4..1': is empty: it begins above its end, and ranges count up; write 1..4");
  refused("1..4:0", "'1..4:0': a step of 0 never comes to the end; expected one above 0");
  refused("4..1:-1", "'4..1:-1': expected a step above 0; ranges count up");
  const std::string plain = ": expected a range A..B or A..B:STEP of plain numbers, as 5..50:5";
  for (const char* text : {"1..", "..4", "a..b", "1..4:", "1..4:x", "1e3..1e4", "1..2..3"})
    refused(text, "'" + std::string(text) + "'" + plain);
  refused("0..1:0.00000001", "'0..1:0.00000001': has more values than 10000000");
  EXPECT_THAT([] { numbers("5,6,5"); }, ThrowsMessage<UsageError>(StrEq("--x: '5' is given twice")));
  EXPECT_THAT([] { numbers("5,4..6"); }, ThrowsMessage<UsageError>(StrEq("--x: '5' is given twice")));
}

TEST(SweepValues, NamesStandBetweenCommasAndTextsAreWhole) {
  EXPECT_THAT(axis_values("--x", "euler,heun", AxisValues::names), ElementsAre("euler", "heun"));
  EXPECT_THAT(axis_values("--x", "3..20", AxisValues::whole), ElementsAre("3..20"));
  EXPECT_THAT(axis_values("--x", "a, b", AxisValues::whole), ElementsAre("a, b"));
}

TEST(SweepValues, QuotedListsMayHaveCommasInTheirTexts) {
  EXPECT_THAT(quoted_list("--x", R"(pear,"green, ripe","say ""x""",)"),
              ElementsAre("pear", "green, ripe", R"(say "x")", ""));
  EXPECT_THAT([] { quoted_list("--x", "\"a"); },
              ThrowsMessage<UsageError>(StrEq("--x '\"a': the quote is not closed")));
}

}  // namespace
}  // namespace steplapse
