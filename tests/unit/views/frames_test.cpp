#include "views/frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <mutex>
#include <thread>

#include "base/aten.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StrEq;
using testing::ThrowsMessage;

/// Frames of one colour: the decoder paints the request's one latent.
class Frames : public testing::Test {
 protected:
  Frames() { fs::create_directories(folder_); }
  ~Frames() override { fs::remove_all(folder_); }

  static FrameRequest request(FrameKind kind, int64_t step, double brightness) {
    return {kind, step, {500.0, 0.6, 0.8}, at::full({1, 1, 1, 1}, brightness, at::kFloat)};
  }
  static FrameRequest request(FrameKind kind, int64_t step, double brightness, const FrameRequest& before) {
    FrameRequest after = request(kind, step, brightness);
    after.before = {before.step, before.latents};
    return after;
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

TEST_F(Frames, OfX0AreComparedWithTheOneBefore) {
  const FrameRequest dark = request(FrameKind::x0, 2, -1), light = request(FrameKind::x0, 5, 1, dark);
  write({dark, request(FrameKind::xt, 2, 0.3), light, request(FrameKind::final, 5, 0.3),
         request(FrameKind::x0, 6, 1, light)});
  ASSERT_EQ(written_.size(), 5u);
  for (const size_t other : {0, 1, 3}) EXPECT_FALSE(written_[other].change) << other;
  ASSERT_TRUE(written_[2].change && written_[4].change);
  EXPECT_EQ(written_[2].change->mean_abs, 255);
  EXPECT_EQ(written_[2].change->compared_step, 2);
  EXPECT_EQ(written_[4].change->psnr, INFINITY);
  EXPECT_EQ(written_[4].change->compared_step, 5);
}

TEST_F(Frames, ThatShowTheSameX0DecodeItOnce) {
  std::vector<int64_t> decoded;
  const FrameRequest first = request(FrameKind::x0, 1, -1);
  write({request(FrameKind::diff, 2, 1, first), request(FrameKind::x0, 2, 1, first),
         request(FrameKind::signed_diff, 2, 1, first)},
        [&](const FrameRequest& request) {
          decoded.push_back(request.step);
          return paint(request);
        });
  EXPECT_THAT(decoded, ElementsAre(1, 2));
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
