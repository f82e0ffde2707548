#include "cli/commands.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace steplapse {
namespace {

using testing::StrEq;

int nothing(const std::vector<std::string>&) { return 0; }
int misfit(const std::vector<std::string>&) { throw MisfitArguments("no PROMPT"); }

Command row(const char* name, const char* arguments, const char* about, int (*run)(const std::vector<std::string>&)) {
  return {.name = name, .arguments = arguments, .about = about, .run = run};
}

const std::vector<Command> kCommands{
    row("generate", "PROMPT", "Draw", misfit),    row("race", "PROMPT", "Compare", misfit),
    row("schedule", "", "Levels", nothing),       row("samplers", "", "Names", nothing),
    row("tokens", "PROMPT", "Ids", nothing),      row("model inspect", "[DIR]", "Look", misfit),
    row("model verify", "DIR", "Check", nothing), row("help", "", "This", nothing),
    row("version", "", "That", nothing)};

std::string refusal(const std::vector<std::string>& arguments) {
  try {
    refuse_near_command(kCommands, arguments);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Commands, AreFoundByOneWordOrTwo) {
  EXPECT_EQ(command_of(kCommands, {"race", "x"}), &kCommands[1]);
  EXPECT_EQ(command_of(kCommands, {"model", "verify", "x"}), &kCommands[6]);
  for (const std::vector<std::string>& none : {std::vector<std::string>{}, {"model"}, {"Race"}, {"race car"}}) {
    EXPECT_EQ(command_of(kCommands, none), nullptr);
  }
}

TEST(Commands, AMisspeltOneIsRefusedWithBothWaysOut) {
  EXPECT_EQ(refusal({"sampler"}),
            "unknown command 'sampler', did you mean: steplapse samplers? (to draw the prompt 'sampler': "
            "steplapse generate sampler)");
  for (const auto& [word, meant] :
       {std::pair("schedules", "schedule"), std::pair("ganerate", "generate"), std::pair("moddel", "model"),
        std::pair("token", "tokens"), std::pair("verify", "model verify")}) {
    EXPECT_THAT(refusal({word}), testing::HasSubstr(std::string("did you mean: steplapse ") + meant + "?"));
  }
}

TEST(Commands, WhatOtherVersionsHaveIsRefused) {
  EXPECT_EQ(
      refusal({"img2img", "a.png", "--seed", "3"}),
      "'img2img' is not a command of this version; steplapse help lists them (to draw the prompt 'img2img a.png': "
      "steplapse generate \"img2img a.png\")");
}

TEST(Commands, TheFirstWordOfTwoNamesTheSecond) {
  const std::string wanted = "steplapse model wants one of: inspect [DIR], verify DIR (to draw the prompt ";
  EXPECT_EQ(refusal({"model"}), wanted + "'model': steplapse generate model)");
  EXPECT_EQ(refusal({"model", "ship"}),
            "unknown command 'model ship'; " + wanted + "'model ship': steplapse generate \"model ship\")");
}

TEST(Commands, WhatIsNearNoneIsDrawn) {
  for (const char* prompt : {"", "castle", "a sampler", "Film", "--seed", "rice", "lace", "kelp"})
    EXPECT_EQ(refusal({prompt}), "") << prompt;
}

TEST(Commands, EveryNameThatTheModelWasTaughtIsDrawn) {
  std::ifstream file(STEPLAPSE_SOURCE "/models/emoji-64/prompts.json");
  const auto taught = nlohmann::json::parse(file);
  ASSERT_GT(taught.size(), 400u);
  for (const auto& prompt : taught) {
    EXPECT_EQ(refusal({prompt.at("name")}), "");
    for (const auto& keyword : prompt.at("keywords")) EXPECT_EQ(refusal({keyword}), "");
  }
}

TEST(Commands, ArgumentsThatDoNotFitMayHaveBeenAPrompt) {
  EXPECT_THAT([] { run_command(kCommands[1], {"race", "car", "--steps", "3"}); },
              testing::ThrowsMessage<UsageError>(
                  StrEq("no PROMPT (to draw the prompt 'race car': steplapse generate \"race car\")")));
  EXPECT_THAT([] { run_command(kCommands[0], {"generate"}); }, testing::ThrowsMessage<UsageError>(StrEq("no PROMPT")));
  EXPECT_THAT([] { run_command(kCommands[5], {"model", "inspect", "x"}); },
              testing::ThrowsMessage<UsageError>(StrEq("no PROMPT")));
}

TEST(Commands, AreListedALineEach) {
  EXPECT_EQ(command_lines(kCommands, "model "), "  model inspect [DIR]    Look\n  model verify DIR       Check\n");
}

}  // namespace
}  // namespace steplapse
