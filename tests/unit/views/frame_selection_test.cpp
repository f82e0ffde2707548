#include "views/frame_selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "steplapse/error.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StrEq;
using testing::ThrowsMessage;

TEST(FrameKinds, HaveNamesThatLeadBackToThem) {
  for (const FrameKind kind : frame_kinds()) EXPECT_EQ(frame_kind_named(name_of(kind)), kind);
}

std::vector<int64_t> steps_of(const FrameSelection& selection, FrameKind kind) {
  std::vector<int64_t> steps;
  for (int64_t step = 0; step <= 10; ++step) {
    if (selection.has(kind, step, step == 10)) steps.push_back(step);
  }
  return steps;
}
std::vector<int64_t> x0_steps(const FrameSelection& selection) { return steps_of(selection, FrameKind::x0); }
std::vector<int64_t> xt_steps(const FrameSelection& selection) { return steps_of(selection, FrameKind::xt); }

FrameSelection both() {
  FrameSelection selection;
  selection.kinds.insert(FrameKind::xt);
  return selection;
}

TEST(Selection, IsEveryX0AndNoXtUnlessSaid) {
  EXPECT_THAT(x0_steps({}), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_THAT(xt_steps({}), IsEmpty());
}

TEST(Selection, EveryTakesTheMultiplesAndBothEnds) {
  FrameSelection selection = both();
  selection.every = 4;
  EXPECT_THAT(x0_steps(selection), ElementsAre(1, 4, 8, 10));
  EXPECT_THAT(xt_steps(selection), ElementsAre(0, 4, 8, 10));
  selection.every = 50;
  EXPECT_THAT(x0_steps(selection), ElementsAre(1, 10));
}

TEST(Selection, AWindowHasBothItsEnds) {
  FrameSelection selection = both();
  selection.from = 3;
  selection.to = 6;
  EXPECT_THAT(x0_steps(selection), ElementsAre(3, 4, 5, 6));
  selection.every = 4;
  EXPECT_THAT(xt_steps(selection), ElementsAre(3, 4, 6));
  selection.to.reset();
  EXPECT_THAT(xt_steps(selection), ElementsAre(3, 4, 8, 10));
}

TEST(Selection, AtNamesItsStepsAlone) {
  FrameSelection selection = both();
  selection.at = {0, 1, 7};
  EXPECT_THAT(x0_steps(selection), ElementsAre(1, 7));  // there is no estimate before the first step
  EXPECT_THAT(xt_steps(selection), ElementsAre(0, 1, 7));
}

auto refuses(const std::string& message) { return ThrowsMessage<UsageError>(StrEq(message)); }

TEST(CheckFrames, NamesTheStepThatARunLacks) {
  FrameSelection selection;
  selection.at = {10, 11};
  EXPECT_THAT([&] { check_frames(selection, 10); }, refuses("`at` 11: a run of 10 steps has frames 1 to 10"));
  EXPECT_NO_THROW(check_frames(selection, 11));
  selection.at = {0};
  EXPECT_THAT([&] { check_frames(selection, 10); }, refuses("`at` 0: a run of 10 steps has frames 1 to 10"));
  selection.kinds.insert(FrameKind::xt);
  EXPECT_NO_THROW(check_frames(selection, 10));
  selection.at = {-1};
  EXPECT_THAT([&] { check_frames(selection, 10); }, refuses("`at` -1: a run of 10 steps has frames 0 to 10"));
}

TEST(CheckFrames, NamesTheEndOfAWindowThatARunLacks) {
  FrameSelection selection;
  selection.from = 11;
  EXPECT_THAT([&] { check_frames(selection, 10); }, refuses("`from` 11: a run of 10 steps has frames 1 to 10"));
  selection.from = 2;
  selection.to = 0;
  EXPECT_THAT([&] { check_frames(selection, 10); }, refuses("`to` 0: a run of 10 steps has frames 1 to 10"));
  selection.to = 1;
  EXPECT_THAT([&] { check_frames(selection, 10); }, refuses("`from` 2 is after `to` 1"));
  selection.to = 2;
  EXPECT_NO_THROW(check_frames(selection, 10));
}

TEST(CheckFrames, WantsAtLeastEveryFirst) {
  FrameSelection selection;
  selection.every = 0;
  EXPECT_THAT([&] { check_frames(selection, 10); }, refuses("`every` 0: expected 1 or more"));
}

// ---- how many -----------------------------------------------------------------------------------------------------

Recipe four_steps(GuidanceRule guidance) {
  Recipe recipe;
  recipe.guidance = guidance;
  for (const double sigma : {8.0, 4.0, 2.0, 1.0, 0.0}) recipe.schedule.levels.push_back({{}, 1.0, sigma});
  return recipe;
}

TEST(FramesIn, CountsTheStepsThatHaveWhatAKindShows) {
  FrameSelection selection;
  selection.kinds = {frame_kinds().begin(), frame_kinds().end()};
  // x0 4, xt 5, the diffs 3 each, cond 4; uncond is asked in steps 2 and 3
  EXPECT_EQ(frames_in(selection, four_steps({.scale = 5, .first_step = 2, .last_step = 3}), 4), 4 + 5 + 3 + 3 + 4 + 2);
  selection.kinds = {};
  EXPECT_EQ(frames_in(selection, four_steps({.scale = 5}), 4), 0);
}

TEST(WarningOfUnasked, NamesTheAnswerThatIsNeverAsked) {
  FrameSelection selection;
  selection.kinds = {FrameKind::cond, FrameKind::uncond};
  EXPECT_EQ(warning_of_unasked(selection, four_steps({.scale = 5})), std::nullopt);
  EXPECT_EQ(warning_of_unasked(selection, four_steps({.scale = 1})),
            "`frames` uncond: at guidance scale 1 the network is never asked for that answer, so there are no such "
            "frames");
  EXPECT_EQ(warning_of_unasked(selection, four_steps({.scale = 0})).value().substr(0, 14), "`frames` cond:");
}

}  // namespace
}  // namespace steplapse
