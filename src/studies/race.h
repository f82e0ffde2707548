#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "steplapse/engine.h"
#include "steplapse/recipe.h"
#include "views/picture.h"

namespace steplapse {

/// A sampler in a race, with the schedule that its number of denoiser calls allows.
struct Contender {
  std::string sampler;  ///< the name of a row of samplers()
  SamplerOptions options = {};
  Schedule schedule = {};
  std::optional<int64_t> call_budget =
      std::nullopt;         ///< the most denoiser calls that it may make; none: adaptive, no limit
  int64_t calls_total = 0;  ///< the calls that it makes; 0 where only the run can tell
};

/// The schedule for a number of steps.
/// @throws std::invalid_argument  there is none
using ScheduleOf = std::function<Schedule(int64_t steps)>;

/// The sampler with the most steps that make at most `call_budget` denoiser calls, with its default options. Not for
/// adaptive samplers.
/// @throws std::invalid_argument  a single step makes more calls, or the schedule has too few levels to use the budget;
///                                the text names the numbers: "asks 1000 times in the 1000 steps that the schedule has"
Contender contender_within(const Sampler& sampler, int64_t call_budget, const ScheduleOf& schedule_of);

/// A prompt and a seed. Each contender runs once in each lane.
struct RaceLane {
  std::string prompt;
  Recipe recipe;  ///< for its start noise and prediction type; the rest comes from the contender
  Guidance guidance;
};

/// A race. In a lane all runs start from one noise, times one scale, at one level; all end at sigma 0.
struct Race {
  std::vector<Contender> contenders;
  Contender reference;  ///< a deterministic run, to whose result distances are measured
  Contender doubled;    ///< the reference with twice the calls, for the reference's own error
  std::vector<RaceLane> lanes;
};

/// Checks that all runs of a race start at the reference's level and scale, and end at sigma 0.
/// @throws std::invalid_argument  one does not; the text names both starts
void check_start(const Race& race);

/// The distance between the results of two runs.
struct Distance {
  double latents =
      0;  ///< root mean square of the difference, divided by the root mean square of the reference's latents
  double picture = 0;  ///< root mean square of the difference of pixels, which are from 0 to 255 and not rounded
};

/// One contender in one lane.
struct RaceRun {
  size_t contender, lane;               ///< indices into the race's lists
  int64_t steps = 0;                    ///< the steps of the schedule; for an adaptive sampler the steps made
  int64_t calls_total = 0;              ///< the denoiser calls made
  double network_seconds = 0;           ///< in the network; of a call that several runs share, each has its part
  Distance distance = {};               ///< to the reference; of a run that failed it says nothing
  std::string failure = {};             ///< why it failed, or has no reference; empty: it did not
  std::optional<Picture> picture = {};  ///< its result, where pictures are kept

  bool failed() const { return !failure.empty(); }
};

struct RaceResult {
  std::vector<RaceRun> runs;  ///< by contender, then by lane
  /// For each lane: the distance from the reference to the doubled reference; none where either failed.
  std::vector<std::optional<Distance>> reference_errors;
  std::vector<std::optional<Picture>> reference_pictures = {};  ///< for each lane, where pictures are kept

  bool failed() const;  ///< whether any run did
};

/// What a denoiser or decoder throws to end the race: nothing else is run.
struct RaceInterrupted : std::runtime_error {
  RaceInterrupted() : std::runtime_error("interrupted") {}
};

/// Turns latents [1, C, h, w] into an image [1, 3, H, W] in [-1, 1], not clamped.
using RaceDecoder = std::function<Tensor(const Tensor& latents)>;

/// Is told of a race's runs, but for the doubled reference's.
class RaceObserver {
 public:
  virtual ~RaceObserver() = default;
  /// A run is to begin: by contender, then by lane; the reference's last. @return what watches it, or null
  virtual Watcher* begun(const Recipe& recipe, size_t lane) = 0;
  /// It is over, or has failed. @param watcher  what `begun` returned, not null
  virtual void ended(Watcher* watcher, const Outcome& outcome) = 0;
};

/// How a race is run.
struct RaceRunning {
  int64_t max_batch = 16;                ///< the most runs in one denoiser call, 1 or more
  std::function<void()> called = [] {};  ///< is called for each answer to a run that is not adaptive
  RaceObserver* observer = nullptr;      ///< null: nobody is told
  bool keep_pictures = false;            ///< the results' pictures are kept
};

/// Runs all contenders and references in one engine, so that they share denoiser calls. A run that fails does not end
/// the others. Where a reference fails, the runs of its lane have nothing to be compared with, and count as failed.
/// @throws RaceInterrupted  denoiser or decoder threw it
/// @throws Error            no lane has a reference, and the text names its run and the reason; or the disk is full
RaceResult run_race(const Race& race, Denoiser denoiser, const RaceDecoder& decode, const RaceRunning& running = {});

/// How often run_race calls `called`.
int64_t calls_in(const Race& race);

/// A mean over lanes, and the standard deviation (with n - 1) where there are several lanes.
struct Spread {
  double mean = 0;
  std::optional<double> deviation;
};

/// A contender's results over those lanes in which it did not fail.
struct Standing {
  size_t contender;                            ///< index into the race's contenders
  size_t runs, failed;                         ///< the lanes in which it ended, and failed
  double steps, calls_total, network_seconds;  ///< means over the lanes, which differ for an adaptive sampler
  Spread latents, picture;                     ///< of its distances to the reference
  /// From the reference: the mean latent distance is kDistinguishable times the reference's own error or more.
  bool distinguishable;
};

/// A distance below this many times the reference's own error says nothing. For a reference of order 2, the distance to
/// the doubled reference is three quarters of the distance to the limit. So at this threshold up to a third of a
/// distance may be the reference's error.
inline constexpr double kDistinguishable = 4;

struct Standings {
  std::vector<Standing> contenders;             ///< in the race's order
  Spread reference_latents, reference_picture;  ///< the reference's own error
};

/// Sums up a race's results.
Standings standings_of(const Race& race, const RaceResult& result);

/// From how many denoiser calls on a sampler is near the reference.
struct NearFrom {
  std::string sampler;
  /// The least number, and with each larger one of the race it is near too; of an adaptive sampler the calls it made. None:
  /// it is not near with the most calls, or failed.
  std::optional<double> calls;
};

/// For each deterministic sampler: from which calls on the mean distance of pictures is at most `levels` of 255. The fewest
/// calls stand first, then the nearest.
std::vector<NearFrom> near_from(const Race& race, const Standings& standings, double levels);

}  // namespace steplapse
