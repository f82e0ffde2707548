#include "base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;
using namespace std::string_literals;

TEST(Text, KnowsUtf8) {
  for (const auto& text : {""s, "a"s, "\u00e9\u20ac\U0001F34E"s, "\0"s, "\U0010FFFF"s}) EXPECT_TRUE(is_utf8(text));
}

// Of RFC 3629: stray and missing continuation bytes, overlong forms, surrogates, beyond U+10FFFF.
TEST(Text, KnowsWhatIsNotUtf8) {
  for (const char* text :
       {"\x80", "a\xe2\x82", "\xe2\x82z", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"}) {
    EXPECT_FALSE(is_utf8(text)) << escaped(text);
  }
}

// Unicode Standard Annex 15, tables 2 and 3.
TEST(Text, IsComposedAsUnicodeSays) {
  EXPECT_EQ(nfc("D\u0307"), "\u1e0a");
  EXPECT_EQ(nfc("\u1e0a\u0323"), "\u1e0c\u0307");
  EXPECT_EQ(nfc("\u212b"), "\u00c5");              // the Angstrom sign is the letter
  EXPECT_EQ(nfc("\u1100\u1161"), "\uac00");        // Hangul
  EXPECT_EQ(nfc("\ufb01 red 2"), "\ufb01 red 2");  // a ligature is another character
}

TEST(Text, HasWords) {
  EXPECT_THAT(words("Red APPLE, 2 caf\u00c9s; t-rex!"), ElementsAre("red", "apple", "2", "caf\u00e9s", "t", "rex"));
  EXPECT_THAT(words("e\u0301t\u00e9"), ElementsAre("e\u0301t\u00e9"));
  EXPECT_THAT(words("\u7ea2\u82f9\u679c \U00010400"), ElementsAre("\u7ea2\u82f9\u679c", "\U00010428"));
  EXPECT_THAT(words(" .,\U0001F34E "), IsEmpty());
}

// kitten: the classic example. ca and abc tell the alignment distance (3) from the unrestricted one (2).
TEST(Text, EditDistanceIsTheTextbooks) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("ca", "abc"), 3u);
  EXPECT_EQ(edit_distance("ddim", "dimd"), 2u);
  EXPECT_EQ(edit_distance("shcedule", "schedule"), 1u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("DDIM", "ddim"), 0u);
  EXPECT_EQ(edit_distance("caf\u00e9", "cafe"), 1u);
}

TEST(Text, FindsWhatWasMeant) {
  const std::vector<std::string> samplers = {"ddim", "euler", "euler_ancestral", "heun"};
  EXPECT_THAT(nearest("eular", samplers), Optional("euler"s));
  EXPECT_THAT(nearest("DDIM", samplers), Optional("ddim"s));
  EXPECT_THAT(nearest("euler_ancestrall", samplers), Optional("euler_ancestral"s));
  EXPECT_THAT(nearest("ancestral_euler", samplers), std::nullopt);
  EXPECT_THAT(nearest("dpm", samplers), std::nullopt);
  EXPECT_THAT(nearest("banana", {"bandit"}), std::nullopt);              // half of it
  EXPECT_THAT(nearest("xt", {"x0"s, "xtt"s, "xt0"s}), Optional("x0"s));  // the first of equals
  EXPECT_THAT(nearest("x", {"y"s, "xy"s}), std::nullopt);
  EXPECT_THAT(nearest("", samplers), std::nullopt);
  EXPECT_THAT(nearest("ddim", {}), std::nullopt);
  EXPECT_THAT(nearest(std::string(50'000'000, 'x'), samplers), std::nullopt);  // or it takes gigabytes
}

TEST(Text, IsShownOnOneLine) {
  EXPECT_EQ(escaped("red apple \u00e9 \U0001F34E"), "red apple \u00e9 \U0001F34E");
  EXPECT_EQ(escaped("a\nb\tc\x1b[31m\x7f\0"s), "a\\nb\\tc\\u{1b}[31m\\u{7f}\\u{0}");
  EXPECT_EQ(escaped("\u0085\u2028\u202e\u200b"), "\\u{85}\\u{2028}\\u{202e}\\u{200b}");
  EXPECT_EQ(escaped("\xff\xe2\x82z"), "\\xff\\xe2\\x82z");
  EXPECT_EQ(escaped("\U0001F469\u200d\U0001F680"), "\U0001F469\u200d\U0001F680");  // woman + joiner + rocket
  EXPECT_EQ(in_quotes("it"), "'it'");
}

TEST(Text, IsCutWhereItGetsLong) {
  EXPECT_EQ(escaped("\u00e9\u00e9\u00e9", 3), "\u00e9\u00e9\u00e9");
  EXPECT_EQ(escaped("\u00e9\u00e9\u00e9\u00e9", 3), "\u00e9\u00e9\u00e9…");
  EXPECT_EQ(in_quotes(std::string(1'000'000, 'x')), std::string("'").append(80, 'x').append("…'"));
}

TEST(Text, IsOneWordToAShell) {
  for (const std::string& text : {"castle"s, "red apple"s, "it's $5 for `a` \\ \"b\""s, ""s, "caf\u00e9"s, "a;b"s}) {
    FILE* shell = popen(("printf %s " + shell_quoted(text)).c_str(), "r");
    std::string heard(64, '\0');
    heard.resize(fread(heard.data(), 1, heard.size(), shell));
    pclose(shell);
    EXPECT_EQ(heard, text);
  }
  EXPECT_EQ(shell_quoted("castle"), "castle");
  EXPECT_EQ(shell_quoted("red apple"), "\"red apple\"");
}

// Unicode Standard Annex 11: East Asian Wide and Fullwidth take two columns.
TEST(Text, HasAWidthInColumns) {
  EXPECT_EQ(display_width("red apple"), 9u);
  EXPECT_EQ(display_width("\u7ea2\u82f9\u679c"), 6u);
  EXPECT_EQ(display_width("\U0001F34E"), 2u);
  EXPECT_EQ(display_width("caf\u00e9"), 4u);
  EXPECT_EQ(display_width("cafe\u0301"), 4u);
}

TEST(Text, IsWrappedAtBlanks) {
  EXPECT_EQ(wrapped("one two  three", 7), "one two\nthree");
  EXPECT_EQ(wrapped("one two three", 8, 2), "one two\n  three");
  EXPECT_EQ(wrapped("one two", 8, 2, 5), "one\n  two");
  EXPECT_EQ(wrapped("overlong it", 4), "overlong\nit");
  EXPECT_EQ(wrapped("\u7ea2\u82f9 \u679c\u679c", 8), "\u7ea2\u82f9\n\u679c\u679c");
  EXPECT_EQ(wrapped("", 4), "");
}

TEST(Text, CountsOneWithoutAnS) {
  EXPECT_EQ(counted(1, "step"), "1 step");
  EXPECT_EQ(counted(0, "step"), "0 steps");
  EXPECT_EQ(counted(2, "denoiser call"), "2 denoiser calls");
}

TEST(Text, BecomesAFolderName) {
  EXPECT_EQ(slug("red apple"), "red-apple");
  EXPECT_EQ(slug("  Caf\u00e9 -- CR\u00c8ME, 2!  "), "cafe-creme-2");
  EXPECT_EQ(slug("../../etc/passwd"), "etc-passwd");
  EXPECT_EQ(slug(""), "empty");
  EXPECT_EQ(slug("\u7ea2\u82f9\u679c"), "empty");
  EXPECT_EQ(slug(std::string(39, 'a').append("-bc")), std::string(39, 'a'));
  EXPECT_EQ(slug(std::string(100, 'a')), std::string(40, 'a'));
  EXPECT_EQ(slug("a\xff\nb"), "a-b");
}

}  // namespace
}  // namespace steplapse
