#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/png.h"
#include "base/work_queue.h"
#include "steplapse/noise_level.h"
#include "steplapse/step_row.h"
#include "steplapse/tensor.h"
#include "views/frame_selection.h"
#include "views/picture.h"

namespace steplapse {

/// A frame to make.
struct FrameRequest {
  FrameKind kind;
  int64_t step;
  NoiseLevel level;                    ///< for xt and final the level reached; else that of the step's first question
  Tensor latents;                      ///< [1, C, h, w]; of a diff x0
  std::optional<int64_t> number = {};  ///< the number in the file's name; none: the step
  /// The x0 frame before, which x0 frames and diffs are compared with; none at the first. Of the final picture an x0
  /// that is to be compared with it.
  struct Before {
    int64_t step;
    Tensor latents;
  };
  std::optional<Before> before = {};
};

/// Its path in the run folder.
std::string file_of(const FrameRequest& request);

/// A frame that was written to the run folder.
struct Frame {
  FrameKind kind;
  int64_t step;
  std::string file;  ///< relative to the run folder: frames/x0/0007.png
  FrameTimes times;
  std::optional<FrameChange> change;  ///< none where there was nothing to compare with, and for other kinds
  std::shared_ptr<const Picture> picture = {};
};

/// The threads that make frames. Frames are decoded one at a time in the order of `submit`, so that the decoder's
/// rounding does not depend on the queue. Another thread encodes and writes them. At most eight wait for each.
class FrameWorkers {
 public:
  /// When frames are decoded. `beside` is faster on a GPU. On a CPU the two networks compete for its cores; once there
  /// are more threads than cores, OpenMP's threads no longer spin while they wait, and small kernels take twice as
  /// long.
  enum class Decoding {
    between_steps,  ///< by the thread that submits them
    beside,         ///< by a thread beside the sampler
  };
  explicit FrameWorkers(Decoding decoding);

 private:
  friend class FrameWriter;
  static constexpr size_t kWaiting = 8;
  // The decoding thread pushes to the writing one, so it must end first: members are destroyed last to first.
  WorkQueue writing_{kWaiting};
  std::optional<WorkQueue> decoding_;  // none: `submit` decodes
};

/// Makes the frames of one run. Several runs may share their workers. The next `submit`, or `finish`, throws what
/// making a frame threw; other runs do not notice.
class FrameWriter {
 public:
  using Decode = std::function<Tensor(const FrameRequest&)>;
  using Describe = std::function<std::vector<PngText>(const FrameRequest&)>;
  using Written = std::function<void(const Frame&)>;  ///< called on the writing thread

  FrameWriter(FrameWorkers& workers, std::filesystem::path folder, Decode decode, Describe describe, Written written);
  ~FrameWriter();  ///< drops the frames that wait; `finish` first to have them written

  void submit(FrameRequest request);  ///< waits where too many frames wait already
  void finish();                      ///< waits until all submitted frames are written
  /// Waits at most this long until all decoded frames are written. From any thread.
  void write_decoded(std::chrono::milliseconds limit);
  double waited_ms() const;  ///< the milliseconds that `submit` and `finish` took from their caller

 private:
  struct Frames;
  FrameWorkers& workers_;
  std::unique_ptr<Frames> frames_;
};

}  // namespace steplapse
