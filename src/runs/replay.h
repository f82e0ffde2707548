#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runs/options.h"
#include "views/frames.h"

namespace steplapse {

/// The options of `steplapse replay`.
struct ReplayOptions {
  std::filesystem::path what;  ///< a run's folder, or a PNG of ours
  double tolerance = 1e-4;     ///< of latents and answers: the largest difference, as a share of the largest number
  int64_t levels = 1;          ///< of pictures: how much a pixel may differ, of 255
  bool json = false;
  RunningOptions running;             ///< its model: empty where the user names none
  std::filesystem::path usual_model;  ///< is looked at where none is named
};

/// Makes a run or a frame again, asking the network again, and prints how it compares with what was recorded.
/// @return 0: the same, or within the tolerance; ExitCode::differs
/// @throws UsageError   it is neither, its model is not there, or it says too little to be made again
/// @throws BundleError, OutputError, and what the network throws
int replay(const ReplayOptions& options);

// ---- what is found

struct NamedDifference {
  std::string name, then, now;
};

/// How far a call is from the logged one: largest differences, as shares of the largest logged number.
struct CallDifference {
  int64_t call = 0, step = 0;
  double sigma = 0;
  double latents = 0;  ///< of those asked about
  double answer = 0;   ///< the larger of cond's and uncond's
  double larger() const { return latents > answer ? latents : answer; }
};

struct PictureDifference {
  int64_t levels = 0;  ///< the largest, of 255
  int64_t pixels = 0;  ///< that differ in any channel
  int64_t of = 0;      ///< pixels of the picture
  bool same_size = true;
};

struct Replayed {
  std::string what, model, device;
  std::vector<NamedDifference> differences = {};  ///< of what was then and is now, as far as both are known
  std::vector<std::string> remarks = {};
  int64_t steps = 0, calls = 0;                  ///< that were compared; of a frame, made
  bool same_bits = true;                         ///< all latents asked about and answers
  std::optional<CallDifference> largest = {};    ///< of all calls
  std::optional<CallDifference> first_off = {};  ///< the first beyond the tolerance
  std::string other_way = {};                    ///< the replay went another way than the log, and where; "" where not
  std::optional<double> final_latents = {};      ///< as a share of the largest
  std::optional<PictureDifference> picture = {};
  std::string picture_name = {};  ///< final.png

  bool differs(const ReplayOptions& options) const;
  bool is_identical() const;
};

std::string replay_text(const Replayed& replayed, const ReplayOptions& options, size_t columns);
std::string replay_json(const Replayed& replayed, const ReplayOptions& options);  ///< one object

Replayed replay_run(const std::filesystem::path& folder, const ReplayOptions& options);
Replayed replay_picture(const std::filesystem::path& file, const ReplayOptions& options);

/// Appends what differs; what one of both does not know is left out.
void add_difference(std::vector<NamedDifference>& differences, const std::string& name, const std::string& then,
                    const std::string& now);

PictureDifference difference_of(const Picture& then, const Picture& now);

}  // namespace steplapse
