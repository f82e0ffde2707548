#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/png.h"
#include "base/work_queue.h"
#include "steplapse/noise_level.h"
#include "steplapse/step_row.h"
#include "steplapse/tensor.h"

namespace steplapse {

/// 8-bit RGB, row by row from the top: rgb.size() is height * width * 3.
struct Picture {
  int64_t width, height;
  std::vector<uint8_t> rgb;
};

/// Which frames of a run are made.
struct FrameSelection {
  bool x0 = true;   ///< what the model thought the picture was, steps 1..n
  bool xt = false;  ///< the latents themselves, 0..n: 0 is the starting noise
  int64_t every = 1;
  std::optional<int64_t> from, to;  ///< a window, both ends in it
  std::set<int64_t> at;             ///< these steps alone, when not empty
  bool count_files = false;         ///< files are numbered 1, 2, 3 without gaps, not by step

  /// @param last  whether the run ends with this step: whatever `every` says, the first and the last one are had.
  bool has_x0(int64_t step, bool last) const { return x0 && step > 0 && has(step, 1, last); }
  bool has_xt(int64_t step, bool last) const { return xt && has(step, 0, last); }

 private:
  bool has(int64_t step, int64_t first, bool last) const;
};

/// frames/x0/0007.png, in the run folder.
std::string frame_file(const std::string& kind, int64_t number);

/// @throws UsageError  a step that a run of n steps does not have, a window that ends before it begins.
void check_frames(const FrameSelection& selection, int64_t steps);

/// A picture to be made. `level` is where its latents stand: the level asked at for x0, the level reached for xt.
struct FrameOrder {
  std::string kind;  ///< x0, xt or final
  int64_t step;
  NoiseLevel level;
  Tensor latents;                      ///< [1, C, h, w]
  std::optional<int64_t> number = {};  ///< of its file; none: the step
};

/// A picture that lies in the run folder.
struct Frame {
  std::string kind;
  int64_t step;
  std::string file;  ///< relative to the run folder: frames/x0/0007.png
  FrameTimes times;
  std::optional<FrameChange> change;  ///< x0 frames after the first
};

/// 8-bit pixels of a decoded image [1, 3, H, W] in [-1, 1], rounded as diffusers' VaeImageProcessor does.
/// @throws std::runtime_error  naming `what`, if the image is not finite
Picture picture_of(const Tensor& image, const std::string& what);

/// @return between pictures of one size; `step` is whose picture `before` is.
FrameChange change_between(const Picture& before, const Picture& now, int64_t step);

/// Who makes frames: they are decoded in the order of `submit` and one at a time (so that the decoder's rounding never
/// depends on what waits), then encoded and written by a thread of their own. At most eight wait for each.
class FrameWorkers {
 public:
  /// Beside the sampler pays on a GPU, and with decoders that wait. On a CPU two networks at once fight for its cores, and
  /// OpenMP's threads, once they are more than the cores, no longer wait for each other awake: small kernels then take
  /// twice as long.
  enum class Decoding { between_steps, beside };
  explicit FrameWorkers(Decoding decoding);

 private:
  friend class FrameWriter;
  static constexpr size_t kWaiting = 8;
  // The decoder hands to the writer, so it must end first: members are destroyed last to first.
  WorkQueue writing_{kWaiting};
  std::optional<WorkQueue> decoding_;  // none: whoever submits decodes
};

/// Makes the frames of one run; runs may share their workers. A failure comes out of the next `submit` or of `finish`,
/// and is nobody else's.
class FrameWriter {
 public:
  using Decode = std::function<Tensor(const FrameOrder&)>;
  using Describe = std::function<std::vector<PngText>(const FrameOrder&)>;
  using Written = std::function<void(const Frame&)>;  ///< called on the writing thread

  FrameWriter(FrameWorkers& workers, std::filesystem::path folder, Decode decode, Describe describe, Written written);
  ~FrameWriter();  ///< drops the frames that wait; `finish` first to have them made

  void submit(FrameOrder order);  ///< waits where too many do already
  void finish();                  ///< until all that was submitted is written
  void write_decoded(
      std::chrono::milliseconds limit);  ///< waits so long until those that are decoded are written; from any thread
  double waited_ms() const;              ///< how long `submit` and `finish` held their caller

 private:
  struct Frames;
  FrameWorkers& workers_;
  std::unique_ptr<Frames> frames_;
};

}  // namespace steplapse
