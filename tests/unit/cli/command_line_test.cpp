#include "cli/command_line.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace steplapse {
namespace {

TEST(FlagNames, StandForSettings) {
  EXPECT_EQ(with_flag_names("`guidance_scale` -1: expected more; see `eta`"),
            "--guidance-scale -1: expected more; see --eta");
  EXPECT_EQ(with_flag_names("`prompt` is empty"), "PROMPT is empty");
  EXPECT_EQ(with_flag_names("`no_setting` and `eta`"), "`no_setting` and --eta");
}

TEST(FlagNames, LeaveWhatIsQuotedAsTheUserWroteIt) {
  for (const std::string written : {"a `seed` of `eta`", "it's a `seed`", "`eta`", "`", ""}) {
    const std::string quoted = in_quotes(written);
    EXPECT_EQ(with_flag_names("`prompt` " + quoted + ": no `eta` for " + quoted),
              "PROMPT " + quoted + ": no --eta for " + quoted);
  }
}

TEST(FlagNames, TakeNoApostropheForAQuote) {
  EXPECT_EQ(with_flag_names("the model's `eta` isn't the tools' `seed`"), "the model's --eta isn't the tools' --seed");
  EXPECT_EQ(with_flag_names("'never closed `eta`"), "'never closed --eta");
}

}  // namespace
}  // namespace steplapse
