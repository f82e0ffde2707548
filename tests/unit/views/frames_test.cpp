#include "views/frames.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <limits>
#include <mutex>
#include <thread>

#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StrEq;
using testing::ThrowsMessage;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// ---- pixels -------------------------------------------------------------------------------------------------------

/// An image of one colour, one pixel.
Tensor pixel(double red, double green, double blue) {
  return at::tensor({red, green, blue}, at::kFloat).view({1, 3, 1, 1});
}

TEST(PictureOf, SpreadsMinusOneToOneOver256Values) {
  EXPECT_THAT(picture_of(pixel(-1, 0, 1), "").rgb, ElementsAre(0, 128, 255));          // 127.5 goes to the even one
  EXPECT_THAT(picture_of(pixel(-0.5, 0.25, 0.5), "").rgb, ElementsAre(64, 159, 191));  // 63.75, 159.375, 191.25
  EXPECT_THAT(picture_of(pixel(-1.01, 7, -300), "").rgb, ElementsAre(0, 255, 0));
}

TEST(PictureOf, GivesEveryPixelValueBack) {
  const Tensor values = at::arange(256, at::kFloat);
  const Picture picture = picture_of((values / 127.5 - 1).view({1, 1, 16, 16}).expand({1, 3, 16, 16}), "");
  for (int value = 0; value < 256; ++value) EXPECT_EQ(picture.rgb[3 * static_cast<size_t>(value)], value);
}

TEST(PictureOf, GoesRowByRowWithItsColoursTogether) {
  // Planes of red, green and blue, each of 2 rows and 3 columns.
  const Tensor planes = at::arange(18, at::kFloat).view({1, 3, 2, 3});
  const Picture picture = picture_of(planes / 127.5 - 1, "");
  EXPECT_EQ(picture.width, 3);
  EXPECT_EQ(picture.height, 2);
  EXPECT_THAT(picture.rgb, ElementsAre(0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 16, 5, 11, 17));
}

TEST(PictureOf, RefusesWhatIsNotFinite) {
  for (const double value : {std::nan(""), kInfinity, -kInfinity}) {
    EXPECT_THAT([&] { picture_of(pixel(0, value, 0), "step 3, x0"); },
                ThrowsMessage<std::runtime_error>(StrEq("step 3, x0: the decoded picture is not finite")));
  }
}

Picture two_pixels(std::vector<uint8_t> rgb) { return {2, 1, std::move(rgb)}; }

TEST(Change, IsMeanAbsoluteDifferenceAndPsnr) {
  // Differences 4 and -2 among six numbers: mean 1, mean square 20 / 6, and 10 log10(255² * 6 / 20) = 42.9020 dB.
  const FrameChange change =
      change_between(two_pixels({0, 10, 20, 30, 40, 50}), two_pixels({4, 10, 20, 30, 40, 48}), 7);
  EXPECT_EQ(change.mean_abs, 1);
  EXPECT_NEAR(change.psnr, 42.9020, 1e-4);
  EXPECT_EQ(change.compared_step, 7);
}

TEST(Change, FromBlackToWhiteIsAll) {
  const FrameChange change =
      change_between(two_pixels(std::vector<uint8_t>(6, 0)), two_pixels(std::vector<uint8_t>(6, 255)), 1);
  EXPECT_EQ(change.mean_abs, 255);
  EXPECT_EQ(change.psnr, 0);
}

TEST(Change, BetweenEqualPicturesIsInfinitePsnr) {
  const Picture picture = two_pixels({1, 2, 3, 4, 5, 6});
  const FrameChange change = change_between(picture, picture, 1);
  EXPECT_EQ(change.mean_abs, 0);
  EXPECT_EQ(change.psnr, kInfinity);
}

// ---- which frames -------------------------------------------------------------------------------------------------

std::vector<int64_t> steps_of(const FrameSelection& selection, bool (FrameSelection::*has)(int64_t, bool) const) {
  std::vector<int64_t> steps;
  for (int64_t step = 0; step <= 10; ++step) {
    if ((selection.*has)(step, step == 10)) steps.push_back(step);
  }
  return steps;
}
std::vector<int64_t> x0_steps(const FrameSelection& selection) { return steps_of(selection, &FrameSelection::has_x0); }
std::vector<int64_t> xt_steps(const FrameSelection& selection) { return steps_of(selection, &FrameSelection::has_xt); }

FrameSelection both() {
  FrameSelection selection;
  selection.xt = true;
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
  selection.xt = true;
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

// ---- the worker ---------------------------------------------------------------------------------------------------

/// Frames of one colour: the decoder paints the request's one latent.
class Frames : public testing::Test {
 protected:
  Frames() { fs::create_directories(folder_); }
  ~Frames() override { fs::remove_all(folder_); }

  static FrameRequest request(FrameKind kind, int64_t step, double brightness) {
    return {kind, step, {500.0, 0.6, 0.8}, at::full({1, 1, 1, 1}, brightness, at::kFloat)};
  }
  static Tensor paint(const FrameRequest& request) { return request.latents.expand({1, 3, 4, 4}); }
  static std::vector<PngText> describe(const FrameRequest& request) {
    return {{"kind", std::string(name_of(request.kind))}};
  }

  void write(const std::vector<FrameRequest>& requests, FrameWriter::Decode decode = paint) {
    FrameWriter writer(workers_, folder_, std::move(decode), describe,
                       [this](const Frame& frame) { written_.push_back(frame); });
    for (const auto& request : requests) writer.submit(request);
    writer.finish();
  }

  std::string contents(const std::string& file) const {
    std::ifstream stream(folder_ / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  const fs::path folder_ = fs::path(testing::TempDir()) / ("frames_" + std::to_string(::getpid()));
  std::vector<Frame> written_;  // read after finish
  FrameWorkers workers_{FrameWorkers::Decoding::beside};
};

TEST_F(Frames, LieWhereTheirKindAndStepSay) {
  write({request(FrameKind::xt, 0, 0), request(FrameKind::x0, 1, 0), request(FrameKind::x0, 12345, 0),
         request(FrameKind::final, 12345, 0)});
  std::vector<std::string> files;
  for (const Frame& frame : written_) {
    files.push_back(frame.file);
    EXPECT_TRUE(fs::exists(folder_ / frame.file)) << frame.file;
    EXPECT_THAT(contents(frame.file), HasSubstr("tEXtkind" + std::string(1, '\0') + std::string(name_of(frame.kind))));
  }
  EXPECT_THAT(files, ElementsAre("frames/xt/0000.png", "frames/x0/0001.png", "frames/x0/12345.png", "final.png"));
}

TEST_F(Frames, OfX0AreComparedWithTheLastOneBefore) {
  write({request(FrameKind::x0, 2, -1), request(FrameKind::xt, 2, 0.3), request(FrameKind::x0, 5, 1),
         request(FrameKind::final, 5, 0.3), request(FrameKind::x0, 6, 1)});
  ASSERT_EQ(written_.size(), 5u);
  for (const size_t other : {0, 1, 3}) EXPECT_FALSE(written_[other].change) << other;
  ASSERT_TRUE(written_[2].change && written_[4].change);
  EXPECT_EQ(written_[2].change->mean_abs, 255);
  EXPECT_EQ(written_[2].change->compared_step, 2);
  EXPECT_EQ(written_[4].change->psnr, kInfinity);
  EXPECT_EQ(written_[4].change->compared_step, 5);
}

TEST_F(Frames, AreDecodedOneAtATimeInTheirOrder) {
  std::mutex busy;
  std::vector<int64_t> decoded;
  std::vector<FrameRequest> requests;
  for (int64_t step = 1; step <= 30; ++step)
    requests.push_back(request(FrameKind::x0, step, 0));  // more than the queue holds
  write(requests, [&](const FrameRequest& request) {
    EXPECT_TRUE(busy.try_lock());
    decoded.push_back(request.step);
    EXPECT_EQ(request.latents.size(0), 1);
    busy.unlock();
    return paint(request);
  });
  ASSERT_EQ(decoded.size(), 30u);
  EXPECT_TRUE(std::is_sorted(decoded.begin(), decoded.end()));
  EXPECT_EQ(written_.size(), 30u);
}

TEST_F(Frames, ADecoderThatFailsIsHeardOf) {
  const auto fails = [](const FrameRequest& request) {
    if (request.step == 2) throw std::runtime_error("the decoder broke");
    return paint(request);
  };
  EXPECT_THAT(
      [&] { write({request(FrameKind::x0, 1, 0), request(FrameKind::x0, 2, 0), request(FrameKind::x0, 3, 0)}, fails); },
      ThrowsMessage<std::runtime_error>(StrEq("the decoder broke")));
  EXPECT_FALSE(fs::exists(folder_ / "frames/x0/0002.png"));
}

TEST_F(Frames, OfARunWhoseDecoderFailsLeaveAnotherRunsAlone) {
  const auto nothing = [](const Frame&) {};
  FrameWriter broken(
      workers_, folder_ / "broken", [](const FrameRequest&) -> Tensor { throw std::runtime_error("broke"); }, describe,
      nothing);
  FrameWriter whole(workers_, folder_ / "whole", paint, describe, nothing);
  for (int64_t step = 1; step <= 3; ++step) {
    try {
      broken.submit(request(FrameKind::x0, step, 0));
    } catch (const std::runtime_error&) {  // as soon as it is known
    }
    whole.submit(request(FrameKind::x0, step, 0));
  }
  EXPECT_THROW(broken.finish(), std::runtime_error);
  EXPECT_NO_THROW(whole.finish());
  EXPECT_FALSE(fs::exists(folder_ / "broken"));
  EXPECT_TRUE(fs::exists(folder_ / "whole/frames/x0/0003.png"));
}

TEST_F(Frames, ThatWaitAreDroppedWithTheirWriter) {
  std::promise<void> gate;
  std::jthread later;
  int64_t decoded = 0;
  {
    const auto when_open = [&, open = gate.get_future().share()](const FrameRequest& request) {
      open.wait();
      ++decoded;
      return paint(request);
    };
    FrameWriter writer(workers_, folder_, when_open, describe, [](const Frame&) {});
    for (int64_t step = 1; step <= 5; ++step) writer.submit(request(FrameKind::x0, step, 0));
    later = std::jthread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      gate.set_value();
    });
  }
  EXPECT_LE(decoded, 1);
}

TEST_F(Frames, APictureThatIsNotFiniteIsNamed) {
  EXPECT_THAT([&] { write({request(FrameKind::xt, 4, std::nan(""))}); },
              ThrowsMessage<std::runtime_error>(StrEq("step 4, xt: the decoded picture is not finite")));
}

TEST_F(Frames, AFolderThatCantBeWrittenToIsNamed) {
  std::ofstream(folder_ / "frames") << "a file where the folder should be";
  EXPECT_THAT(
      [&] { write({request(FrameKind::x0, 1, 0)}); },
      ThrowsMessage<OutputError>(StrEq((folder_ / "frames/x0/0001.png").string() + ": cannot write: Not a directory")));
}

}  // namespace
}  // namespace steplapse
