#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/png.h"
#include "base/work_queue.h"
#include "steplapse/noise_level.h"
#include "steplapse/step_row.h"
#include "steplapse/tensor.h"

namespace steplapse {

/// What a frame shows.
enum class FrameKind {
  x0,     ///< the model's estimate of the picture
  xt,     ///< the noisy latents
  final,  ///< the run's result
};
std::string_view name_of(FrameKind kind);

/// An 8-bit RGB picture, [height, width, 3], row by row from the top.
struct Picture {
  int64_t width, height;
  std::vector<uint8_t> rgb;
};

/// The frames that a run makes.
struct FrameSelection {
  bool x0 = true;                   ///< the model's estimate of the picture, after steps 1 to n
  bool xt = false;                  ///< the noisy latents, after steps 0 to n; step 0 is the starting noise
  int64_t every = 1;                ///< the steps that are multiples of this; 1 or more
  std::optional<int64_t> from, to;  ///< the first and last step with frames; none: those of the run
  std::set<int64_t> at;             ///< exactly these steps, in place of every, from and to; empty: unused
  bool count_files = false;         ///< number files 1, 2, 3 without gaps instead of by step

  /// Whether a step has a frame. The first and the last step have one whatever `every` is.
  /// @param last  whether the run ends with this step
  bool has_x0(int64_t step, bool last) const { return x0 && step > 0 && has(step, 1, last); }
  bool has_xt(int64_t step, bool last) const { return xt && has(step, 0, last); }

 private:
  bool has(int64_t step, int64_t first, bool last) const;
};

/// The path of a frame in the run folder: frames/x0/0007.png. `kind` is x0 or xt.
std::string frame_file(FrameKind kind, int64_t number);

/// Checks a selection for a run of n steps.
/// @throws UsageError  it names a step that the run does not have, `from` is after `to`, or `every` is below 1
void check_frames(const FrameSelection& selection, int64_t steps);

/// A frame to make.
struct FrameRequest {
  FrameKind kind;
  int64_t step;
  NoiseLevel level;                    ///< for x0 the level of the step's first question; else the level reached
  Tensor latents;                      ///< [1, C, h, w]
  std::optional<int64_t> number = {};  ///< the number in the file's name; none: the step
  bool is_written = false;             ///< the file is there: the next x0 is compared with it, and nothing is written
};

/// Its path in the run folder.
std::string file_of(const FrameRequest& request);

/// A frame that was written to the run folder.
struct Frame {
  FrameKind kind;
  int64_t step;
  std::string file;  ///< relative to the run folder: frames/x0/0007.png
  FrameTimes times;
  std::optional<FrameChange> change;  ///< none for the first x0 frame and for other kinds
};

/// The 8-bit pixels of a decoded image, [1, 3, H, W] in [-1, 1], rounded as in diffusers' VaeImageProcessor.
/// @throws std::runtime_error  the image has NaN or infinity; the text begins with `what`
Picture picture_of(const Tensor& image, const std::string& what);

/// The change between two pictures of equal size.
/// @param step  the step of the picture `before`
FrameChange change_between(const Picture& before, const Picture& now, int64_t step);

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
