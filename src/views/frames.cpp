#include "views/frames.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <utility>

#include "base/file_io.h"
#include "base/stopwatch.h"

namespace steplapse {
std::string file_of(const FrameRequest& request) {
  return request.kind == FrameKind::final ? "final.png"
                                          : frame_file(request.kind, request.number.value_or(request.step));
}

/// The state of one run's frames. Its work on the shared queues never throws: the error is kept here, and the frames
/// after it are dropped.
struct FrameWriter::Frames {
  FrameWorkers& workers;
  std::filesystem::path folder;
  Decode decode;
  Describe describe;
  Written written;
  std::map<int64_t, Picture> x0_pictures = {};  // of the last two steps; used by the decoding thread alone
  std::atomic<double> waited_ms = 0;            // the caller

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

  Picture decoded(const FrameRequest& request) const {
    return picture_of(decode(request),
                      "step " + std::to_string(request.step) + ", " + std::string(name_of(request.kind)));
  }

  /// x0 at a step. Frames of several kinds show it, and the next ones are compared with it, so it is decoded once.
  const Picture& x0_picture(int64_t step, const NoiseLevel& level, const Tensor& latents) {
    if (const auto known = x0_pictures.find(step); known != x0_pictures.end()) return known->second;
    const Picture& picture = x0_pictures[step] = decoded({FrameKind::x0, step, level, latents});
    if (x0_pictures.size() > 2) x0_pictures.erase(x0_pictures.begin());
    return picture;
  }

  /// @param change  is set for an x0 frame that has one before it, and for a final picture likewise
  Picture picture(const FrameRequest& request, std::optional<FrameChange>& change) {
    if (request.kind == FrameKind::final && request.before) {
      Picture now = decoded(request);
      const auto& [step, latents] = *request.before;
      change = change_between(decoded({FrameKind::final, step, request.level, latents}), now, step);
      return now;
    }
    if (request.kind != FrameKind::x0 && !is_diff(request.kind)) return decoded(request);
    if (!request.before) return x0_picture(request.step, request.level, request.latents);
    const Picture before = x0_picture(request.before->step, request.level, request.before->latents);
    const Picture& now = x0_picture(request.step, request.level, request.latents);
    if (request.kind == FrameKind::diff) return heat_map(before, now);
    if (request.kind == FrameKind::signed_diff) return signed_map(before, now);
    change = change_between(before, now, request.before->step);
    return now;
  }

  bool decode_frame(const FrameRequest& request) {
    Frame frame{request.kind, request.step, file_of(request), {}, {}};
    const Stopwatch watch;
    frame.picture = std::make_shared<const Picture>(picture(request, frame.change));
    frame.times.decode = watch.milliseconds();
    workers.writing_.push(
        [this, frame, texts = describe(request)] { attempt([&] { return write_frame(frame, texts); }); });
    return true;
  }

  bool write_frame(Frame frame, const std::vector<PngText>& texts) {
    const Stopwatch encode_watch;
    const auto png = encode_png(frame.picture->rgb, frame.picture->width, frame.picture->height, texts);
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
