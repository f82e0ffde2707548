#include "views/selection_json.h"

#include <gtest/gtest.h>

namespace steplapse {
namespace {

/// The frames that a selection has of a run of ten steps.
std::string frames_of(const FrameSelection& selection) {
  std::string frames;
  for (int64_t step = 0; step <= 10; ++step) {
    for (const FrameKind kind : frame_kinds()) {
      if (selection.has(kind, step, step == 10)) frames += " " + std::string(name_of(kind)) + std::to_string(step);
    }
  }
  return frames;
}

TEST(SelectionJson, GivesTheSameFramesBack) {
  FrameSelection usual, none, window, list;
  none.kinds.clear();
  window.kinds = {FrameKind::xt, FrameKind::signed_diff};
  window.every = 3;
  window.from = 2;
  window.to = 8;
  list.at = {1, 5, 9};
  list.count_files = true;
  for (const FrameSelection& selection : {usual, none, window, list}) {
    const FrameSelection back = selection_of(selection_json(selection), selection.count_files ? "frames" : "steps");
    EXPECT_EQ(frames_of(back), frames_of(selection));
    EXPECT_EQ(back.count_files, selection.count_files);
  }
}

TEST(SelectionJson, IsWhatThePageSays) {
  FrameSelection selection;
  selection.from = 2;
  EXPECT_EQ(selection_json(selection), R"({"kinds":["x0"],"every":1,"from":2,"to":null,"at":[]})");
}

}  // namespace
}  // namespace steplapse
