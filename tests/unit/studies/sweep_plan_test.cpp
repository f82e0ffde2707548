#include "studies/sweep/sweep_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "cli/setting_reader.h"
#include "steplapse/error.h"
#include "studies/sweep/sweep_changes.h"
#include "studies/sweep/sweep_check.h"
#include "studies/sweep/sweep_words.h"
#include "support/toy_manifest.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;
using testing::StrEq;
using testing::ThrowsMessage;

SweepAxis axis(const std::string& name, const std::vector<std::string>& values) {
  SweepAxis made{name, {}};
  for (const std::string& value : values) made.points.push_back({{name, value}});
  return made;
}

SweepPlan plan_of_three_axes() {
  return {.model = "/models/toy",
          .model_sha256 = "12ab",
          .fixed = {{"prompt", "a red, red apple"}, {"eta", "0"}},
          .axes = {axis("steps", {"5", "10", "20"}), axis("sampler", {"ddim", "euler"}), axis("seed", {"1", "2"})}};
}

TEST(SweepPlan, EveryCombinationOccursOnceAndTheLastAxisIsTheFastest) {
  const SweepPlan plan = plan_of_three_axes();
  ASSERT_EQ(plan.cells(), 12u);
  std::set<SweepSettings> all;
  for (size_t cell = 0; cell < plan.cells(); ++cell) all.insert(plan.settings_of(cell));
  EXPECT_THAT(all, SizeIs(12));
  EXPECT_THAT(plan.points_of(0), ElementsAre(0, 0, 0));
  EXPECT_THAT(plan.points_of(1), ElementsAre(0, 0, 1));
  EXPECT_THAT(plan.points_of(2), ElementsAre(0, 1, 0));
  EXPECT_THAT(plan.settings_of(11), ElementsAre(Pair("prompt", "a red, red apple"), Pair("eta", "0"),
                                                Pair("steps", "20"), Pair("sampler", "euler"), Pair("seed", "2")));
}

TEST(SweepPlan, IsReadAsItWasWritten) {
  SweepPlan plan = plan_of_three_axes();
  plan.axes.push_back({"prompt,negative_prompt", {{{"shift", "1"}, {"rho", "7"}}, {{"rho", "5"}}}});
  plan.axes.push_back({"replace:a,replace:red", {{{"replace", "a=one"}, {"replace", "red=green"}}}});
  plan.skip_invalid = true;
  plan.frames.kinds = {FrameKind::x0, FrameKind::diff};
  plan.frames.every = 5;
  plan.frames.to = 20;
  plan.frames.count_files = true;
  const std::string json = json_of(plan);
  const SweepPlan read = sweep_plan_in(json, "plan.json");
  EXPECT_EQ(json_of(read), json);
  for (size_t cell = 0; cell < plan.cells(); ++cell) EXPECT_EQ(read.settings_of(cell), plan.settings_of(cell));
  EXPECT_EQ(read.frames.kinds, plan.frames.kinds);
  EXPECT_EQ(sha256_of(read), sha256_of(plan));
}

TEST(SweepPlan, WithoutFramesMakesFinalPicturesAlone) {
  EXPECT_THAT(sweep_plan_in(json_of(plan_of_three_axes()), "plan.json").frames.kinds, SizeIs(0));
}

TEST(SweepPlan, IsKnownByItsCellsWhereverItsModelLies) {
  SweepPlan plan = plan_of_three_axes();
  const std::string before = sha256_of(plan);
  plan.model = "/elsewhere/toy";
  EXPECT_EQ(sha256_of(plan), before);
  plan.axes[0].points[0][0].second = "6";
  EXPECT_NE(sha256_of(plan), before);
}

TEST(SweepPlan, MayBeWrittenByHandWithNumbers) {
  const SweepPlan plan = sweep_plan_in(
      R"({"sweep_plan": 1, "model": "m", "axes": [{"name": "steps", "values": [5, 10]}, {"name": "eta", "values": [0, 0.5]}],
          "fixed": {"prompt": "red apple", "seed": 18446744073709551615}})",
      "p");
  EXPECT_THAT(plan.settings_of(3), ElementsAre(Pair("prompt", "red apple"), Pair("seed", "18446744073709551615"),
                                               Pair("steps", "10"), Pair("eta", "0.5")));
}

void expect_refused(const std::string& json, const std::string& message) {
  EXPECT_THAT([&] { sweep_plan_in(json, "p.json"); }, ThrowsMessage<UsageError>(StrEq("p.json" + message)));
}

TEST(SweepPlan, WhatIsWrongIsSaidWithItsPlace) {
  expect_refused("[1", " is not JSON: wrong at byte 3 of 2");
  expect_refused("{}", ": is no plan of a sweep: no key 'sweep_plan' in it; steplapse sweep plan writes one");
  expect_refused(
      R"({"sweep_plan": 2, "cells": []})",
      ": is a sweep plan of version 2, and this steplapse reads up to version 1; run it with the newer one that "
      "made it");
  expect_refused(R"({"sweep_plan": "1"})",
                 ": 'sweep_plan' is \"1\", expected the plan's version, a number of 1 or more");
  expect_refused(R"({"sweep_plan": 1, "model": "m", "axis": []})", ": unknown key 'axis', did you mean 'axes'?");
  expect_refused(R"({"sweep_plan": 1, "model": "m"})", ": no 'axes' in it");
  expect_refused(R"({"sweep_plan": 1, "model": 3, "axes": []})", ": model: is 3, expected a text");
  const auto of_axes = [](const std::string& axes, const std::string& message) {
    expect_refused(R"({"sweep_plan": 1, "model": "m", "axes": )" + axes + "}", ": axes" + message);
  };
  of_axes("3", ": is 3, expected a list");
  of_axes(R"([{"values": [1]}])", "[0]: no 'name' in it");
  of_axes(R"([{"name": "steps"}])", "[0]: expected either 'values' or 'points' in it");
  of_axes(R"([{"name": "steps", "values": []}])", "[0].values: is a list of 0, expected a list of one or more");
  of_axes(R"([{"name": "eta", "values": [0]}, {"name": "steps", "values": [5, null]}])",
          "[1].values[1]: is null, expected a text or a number");
  of_axes(R"([{"name": "a", "points": [{"steps": [5, 6]}]}])",
          "[0].points[0].steps: is a list, expected one text or number");
}

TEST(SweepPlan, ASettingHasOneAxis) {
  SweepPlan plan = plan_of_three_axes();
  plan.axes.push_back(axis("steps", {"1"}));
  plan.axes.back().name = "others";
  EXPECT_THAT([&] { check_axes(plan, "p"); },
              ThrowsMessage<UsageError>(
                  StrEq("p: `steps` is set by the axis 'steps' and by the axis 'others'; leave one out")));
  plan = plan_of_three_axes();
  plan.fixed.emplace_back("seed", "1");
  EXPECT_THAT(
      [&] { check_axes(plan, ""); },
      ThrowsMessage<UsageError>(StrEq("`seed` is set by what all cells have and by the axis 'seed'; leave one out")));
}

TEST(SweepPlan, HasABoundedNumberOfCells) {
  SweepPlan plan;
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g"})
    plan.axes.push_back(axis(name, std::vector<std::string>(1000, "1")));  // 10^21, more than 64 bits
  EXPECT_EQ(plan.cells(), SweepPlan::kMostCells + 1);
  EXPECT_THAT(
      [&] { check_axes(plan, ""); },
      ThrowsMessage<UsageError>(HasSubstr("1000 a x 1000 b x 1000 c x 1000 d x 1000 e x 1000 f x 1000 g are more "
                                          "cells than 10000000")));
}

// ---- another plan in the same folder

TEST(SweepChanges, SayWhichAxesAndWhichCellDiffer) {
  const SweepPlan there = plan_of_three_axes();
  SweepPlan asked = there;
  asked.model = "/elsewhere";
  EXPECT_EQ(changes_of(there, asked), "");
  asked.axes[0] = axis("steps", {"5", "20"});
  EXPECT_EQ(
      changes_of(there, asked),
      "steps is 5,10,20 there and 5,20 here; cell 5 is (steps 10, sampler ddim, seed 1) there and (steps 20, sampler "
      "ddim, seed 1) here");
  asked = there;
  asked.fixed[1].second = "1";
  asked.axes[0] = axis("steps", {"5", "10", "20", "30"});
  EXPECT_THAT(changes_of(there, asked),
              StartsWith("eta is 0 there and 1 here; steps is 5,10,20 there and 5,10,20,30 here; "
                         "the first that differs is cell 1 "));
  asked = there;
  std::swap(asked.axes[0], asked.axes[1]);
  EXPECT_THAT(changes_of(there, asked),
              StartsWith("its axes are in another order; cell 3 is (steps 5, sampler euler, seed 1) "
                         "there and (sampler ddim, steps 10, seed 1) here"));
  asked = there;
  asked.frames.kinds = {FrameKind::x0};
  EXPECT_EQ(changes_of(there, asked), "its frames are others");
}

// ---- kinds of cells

TEST(CellKinds, CellsOfOneKindDifferInTheirSeedsAlone) {
  SweepPlan plan = plan_of_three_axes();
  std::swap(plan.axes[1], plan.axes[2]);  // seeds in the middle
  const CellKinds kinds(plan);
  EXPECT_EQ(kinds.size(), 6u);
  EXPECT_EQ(kinds.cells_each(), 2u);
  const auto without_seed = [&](size_t cell) {
    SweepSettings settings = plan.settings_of(cell);
    std::erase_if(settings, [](const auto& each) { return each.first == "seed"; });
    return settings;
  };
  for (size_t cell = 0; cell < plan.cells(); ++cell) {
    const size_t first = kinds.first_cell(kinds.of(cell));
    EXPECT_EQ(without_seed(first), without_seed(cell));
    EXPECT_LE(first, cell);
    EXPECT_EQ(kinds.of(first), kinds.of(cell));
  }
}

// ---- words

std::string changed(const std::string& prompt, const std::string& setting, const std::string& text) {
  Settings settings;
  settings.prompt = prompt;
  change_words(settings, setting, text);
  return settings.prompt;
}

TEST(SweepWords, WholeWordsAreReplacedEverywhere) {
  EXPECT_EQ(changed("red apple, apples, pineapple, (apple:1.2)", "replace", "apple=pear"),
            "red pear, apples, pineapple, (pear:1.2)");
  EXPECT_EQ(changed("by Van Gogh", "replace", "Van Gogh=Monet"), "by Monet");
  EXPECT_EQ(changed("1girl", "replace", "1girl=1boy"), "1boy");
  EXPECT_EQ(changed("apple apple", "replace", "apple=apple apple"), "apple apple apple apple");
  EXPECT_EQ(changed("黒猫の絵", "replace", "猫=犬"), "黒犬の絵");  // no blanks between words
  EXPECT_EQ(changed("café au lait", "replace", "caf=x"), "café au lait");
}

TEST(SweepWords, WeightsAreBracketsAndOneIsNone) {
  EXPECT_EQ(changed("red apple", "weight", "red=0.6"), "(red:0.6) apple");
  EXPECT_EQ(changed("red apple", "weight", "red=1"), "red apple");
  EXPECT_EQ(changed("red apple", "weight", "red apple=1.2"), "(red apple:1.2)");
}

TEST(SweepWords, RepeatsAreBlanksApartAndNoneLeavesTheWordOut) {
  EXPECT_EQ(changed("a red apple", "repeat", "red=3"), "a red red red apple");
  EXPECT_EQ(changed("a red apple", "repeat", "red=1"), "a red apple");
  EXPECT_EQ(changed("a red apple", "repeat", "red=0"), "a apple");
  EXPECT_EQ(changed("red apple", "repeat", "red=0"), "apple");
}

TEST(SweepWords, NegativePromptsAreChangedToo) {
  Settings settings;
  settings.negative_prompt = "red leaves";
  change_words(settings, "replace", "red=green");
  EXPECT_EQ(settings.negative_prompt, "green leaves");
}

TEST(SweepWords, AWordThatNoPromptHasIsRefused) {
  SweepPlan plan = plan_of_three_axes();
  plan.axes.push_back({"replace:pear", {{{"replace", "pear=plum"}}}});
  EXPECT_THAT([&] { check_words(plan, "p.json"); },
              ThrowsMessage<UsageError>(StrEq("p.json: `replace` 'pear=...': no prompt has the word 'pear'")));
  plan.axes.insert(plan.axes.begin(), {"replace:apple", {{{"replace", "apple=pear"}}}});
  check_words(plan, "p.json");  // it comes into the prompt
}

// ---- cells

Manifest toy_with_decoder() {
  Manifest manifest = toy_manifest();
  manifest.decoders["full"] = {};
  return manifest;
}

TEST(SweepCells, WordsAreChangedOnceAllElseIsSet) {
  const Manifest manifest = toy_with_decoder();
  SweepPlan plan = plan_of_three_axes();
  plan.axes = {{"weight:red", {{{"weight", "red=0.5"}}}},
               {"replace:apple", {{{"replace", "apple=red pear"}}}},
               axis("negative_prompt", {"red"})};
  const CellRequest request = SweepCells(plan, manifest, setting_reader()).request(0);
  EXPECT_EQ(request.settings.prompt, "a (red:0.5), (red:0.5) (red:0.5) pear");
  EXPECT_EQ(request.settings.negative_prompt, "(red:0.5)");
}

TEST(SweepCells, RefusedOnesAreFoundBeforeAnythingRuns) {
  const Manifest manifest = toy_with_decoder();
  SweepPlan plan = plan_of_three_axes();
  plan.fixed[1].second = "0.5";  // eta, which euler does not know
  const auto refused = [&] { return look_through(plan, SweepCells(plan, manifest, setting_reader())); };
  EXPECT_THAT(refused, ThrowsMessage<UsageError>(HasSubstr(
                           "6 of 12 cells can't be made: cell 3 (steps 5, sampler euler, seed 1): `eta`: the sampler "
                           "'euler' knows no eta")));
  plan.skip_invalid = true;
  EXPECT_THAT(refused(), SizeIs(3));  // of two seeds each
  plan.axes[1] = axis("sampler", {"euler"});
  EXPECT_THAT(refused, ThrowsMessage<UsageError>(HasSubstr("none is left")));
}

TEST(SweepCells, HaveTheirRunsInNumberedFolders) {
  const Manifest manifest = toy_with_decoder();
  SweepPlan plan = plan_of_three_axes();
  plan.fixed.pop_back();  // eta, which euler does not know
  const Task task = SweepCells(plan, manifest, setting_reader()).task(11, "out");
  EXPECT_EQ(task.folder, "out/runs/0012-a-red-red-apple-2");
  EXPECT_FALSE(task.plan.recipe.init_noise.defined());
  EXPECT_EQ(task.plan.recipe.seed, 2u);
}

// ---- what texts mean

TEST(SettingReader, SetsWhatGeneratesFlagsSet) {
  const ReadSetting set = setting_reader();
  CellRequest request;
  for (const auto& [name, text] : SweepSettings{{"steps", "7"},
                                                {"guidance_interval", "2..5"},
                                                {"size", "24x16"},
                                                {"negative_prompt", "none"},
                                                {"sampler", "none"},
                                                {"schedule", "auto"},
                                                {"stop_at", "3"},
                                                {"decoder", "linear"},
                                                {"seed", "4"}})
    set(request, name, text);
  EXPECT_EQ(request.settings.steps, 7);
  EXPECT_EQ(request.settings.guidance_interval->high, 5);
  EXPECT_EQ(request.settings.size->width, 24);
  EXPECT_EQ(request.settings.negative_prompt, "none");  // a text is itself
  EXPECT_FALSE(request.settings.sampler || request.settings.schedule);
  EXPECT_EQ(request.stop_at, 3);
  EXPECT_EQ(request.decoder, "linear");
  EXPECT_EQ(request.settings.seed, 4u);
}

TEST(SettingReader, ARefusedTextLeavesTheRequestAsItWas) {
  const ReadSetting set = setting_reader();
  CellRequest request;
  set(request, "steps", "7");
  EXPECT_THROW(set(request, "eta", "x"), UsageError);
  EXPECT_EQ(request.settings.steps, 7);
  EXPECT_THAT([&] { set(request, "stps", "7"); },
              ThrowsMessage<UsageError>(StrEq("unknown setting 'stps', did you mean 'steps'?")));
}

}  // namespace
}  // namespace steplapse
