#include "views/frames.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mutex>

#include "base/file_io.h"
#include "base/names.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr ValueNames<FrameKind, 3> kFrameKinds{
    {{"x0", FrameKind::x0}, {"xt", FrameKind::xt}, {"final", FrameKind::final}}};

}  // namespace

std::string file_of(const FrameRequest& request) {
  return request.kind == FrameKind::final ? "final.png"
                                          : frame_file(request.kind, request.number.value_or(request.step));
}

bool FrameSelection::has(int64_t step, int64_t first, bool last) const {
  if (!at.empty()) return at.contains(step);
  if (step < from.value_or(first) || (to && step > *to)) return false;
  return step % every == 0 || step == std::max(first, from.value_or(first)) || last || step == to;
}

std::string_view name_of(FrameKind kind) { return name_in(kFrameKinds, kind); }

std::string frame_file(FrameKind kind, int64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "%04lld.png", static_cast<long long>(number));
  return "frames/" + std::string(name_of(kind)) + "/" + name;
}

void check_frames(const FrameSelection& selection, int64_t steps) {
  const int64_t first = selection.xt ? 0 : 1;
  const auto check = [&](const char* flag, int64_t step) {
    if (step >= first && step <= steps) return;
    throw UsageError(std::string(flag) + " " + std::to_string(step) + ": a run of " + counted(steps, "step") +
                     " has frames " + std::to_string(first) + " to " + std::to_string(steps));
  };
  for (const int64_t step : selection.at) check("`at`", step);
  if (selection.from) check("`from`", *selection.from);
  if (selection.to) check("`to`", *selection.to);
  if (selection.from && selection.to && *selection.from > *selection.to) {
    throw UsageError("`from` " + std::to_string(*selection.from) + " is after `to` " + std::to_string(*selection.to));
  }
  if (selection.every < 1) throw UsageError("`every` " + std::to_string(selection.every) + ": expected 1 or more");
}

Picture picture_of(const Tensor& image, const std::string& what) {
  if (!at::isfinite(image).all().item<bool>()) throw std::runtime_error(what + ": the decoded picture is not finite");
  const Tensor pixels = ((image[0] / 2 + 0.5).clamp(0, 1) * 255).round().to(at::kByte).permute({1, 2, 0}).contiguous();
  const auto* data = pixels.const_data_ptr<uint8_t>();
  return {pixels.size(1), pixels.size(0), {data, data + pixels.numel()}};
}

FrameChange change_between(const Picture& before, const Picture& now, int64_t step) {
  double absolute = 0, squared = 0;
  for (size_t i = 0; i < now.rgb.size(); ++i) {
    const double difference = static_cast<double>(now.rgb[i]) - before.rgb[i];
    absolute += std::abs(difference);
    squared += difference * difference;
  }
  const auto count = static_cast<double>(now.rgb.size());
  return {absolute / count, 10 * std::log10(255.0 * 255.0 * count / squared), step};
}

/// The state of one run's frames. Its work on the shared queues never throws: the error is kept here, and the frames
/// after it are dropped.
struct FrameWriter::Frames {
  FrameWorkers& workers;
  std::filesystem::path folder;
  Decode decode;
  Describe describe;
  Written written;
  std::optional<std::pair<int64_t, Picture>> last_x0 = {};  // used by the decoding thread alone
  std::atomic<double> waited_ms = 0;                        // the caller

  std::mutex mutex = {};
  std::condition_variable changed = {};
  int64_t unfinished = 0;
  std::exception_ptr error = {};
  bool dropped = false;

  /// Does a piece of work on a frame. `work` returns whether another piece follows for this frame.
  template <typename Work>
  void attempt(Work work) {
    bool goes_on = false;
    try {
      if (!is_over()) goes_on = work();
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
    }
    if (goes_on) return;
    const std::lock_guard lock(mutex);
    --unfinished;
    changed.notify_all();
  }

  bool is_over() {
    const std::lock_guard lock(mutex);
    return dropped || error;
  }

  bool decode_frame(const FrameRequest& request) {
    Frame frame{request.kind, request.step, file_of(request), {}, {}};
    const Stopwatch watch;
    auto picture =
        picture_of(decode(request), "step " + std::to_string(request.step) + ", " + std::string(name_of(request.kind)));
    frame.times.decode = watch.milliseconds();
    if (request.kind == FrameKind::x0) {
      if (last_x0) frame.change = change_between(last_x0->second, picture, last_x0->first);
      last_x0 = {request.step, picture};
    }
    if (request.is_written) return false;
    workers.writing_.push([this, frame, texts = describe(request), picture = std::move(picture)] {
      attempt([&] { return write_frame(frame, picture, texts); });
    });
    return true;
  }

  bool write_frame(Frame frame, const Picture& picture, const std::vector<PngText>& texts) {
    const Stopwatch encode_watch;
    const auto png = encode_png(picture.rgb, picture.width, picture.height, texts);
    frame.times.encode = encode_watch.milliseconds();
    const Stopwatch write_watch;
    std::error_code ignored;  // write_whole reports why it failed
    std::filesystem::create_directories((folder / frame.file).parent_path(), ignored);
    write_whole(folder / frame.file, png);
    frame.times.write = write_watch.milliseconds();
    written(frame);
    return false;
  }
};

FrameWorkers::FrameWorkers(Decoding decoding) {
  if (decoding == Decoding::beside) decoding_.emplace(kWaiting);
}

FrameWriter::FrameWriter(FrameWorkers& workers, std::filesystem::path folder, Decode decode, Describe describe,
                         Written written)
    : workers_(workers),
      frames_(new Frames{workers, std::move(folder), std::move(decode), std::move(describe), std::move(written)}) {}

FrameWriter::~FrameWriter() {
  std::unique_lock lock(frames_->mutex);
  frames_->dropped = true;
  frames_->changed.wait(lock, [&] { return frames_->unfinished == 0; });
}

void FrameWriter::submit(FrameRequest request) {
  const Stopwatch watch;
  {
    const std::lock_guard lock(frames_->mutex);
    if (frames_->error) std::rethrow_exception(frames_->error);
    ++frames_->unfinished;
  }
  const auto decode = [frames = frames_.get(), request = std::move(request)] {
    frames->attempt([&] { return frames->decode_frame(request); });
  };
  if (workers_.decoding_) {
    workers_.decoding_->push(decode);
  } else {
    decode();
  }
  frames_->waited_ms = frames_->waited_ms + watch.milliseconds();
}

void FrameWriter::finish() {
  const Stopwatch watch;
  std::unique_lock lock(frames_->mutex);
  frames_->changed.wait(lock, [&] { return frames_->unfinished == 0; });
  frames_->waited_ms = frames_->waited_ms + watch.milliseconds();
  if (frames_->error) std::rethrow_exception(frames_->error);
}

void FrameWriter::write_decoded(std::chrono::milliseconds limit) { workers_.writing_.drain(limit); }

double FrameWriter::waited_ms() const { return frames_->waited_ms; }

}  // namespace steplapse
