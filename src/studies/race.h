#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/engine.h"
#include "steplapse/recipe.h"

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
  size_t contender, lane;   ///< indices into the race's lists
  int64_t steps = 0;        ///< the steps of the schedule; for an adaptive sampler the steps made
  int64_t calls_total = 0;  ///< the denoiser calls made
  Distance distance = {};   ///< to the reference
};

struct RaceResult {
  std::vector<RaceRun> runs;               ///< by contender, then by lane
  std::vector<Distance> reference_errors;  ///< for each lane: the distance from the reference to the doubled reference
};

/// Turns latents [1, C, h, w] into an image [1, 3, H, W] in [-1, 1], not clamped.
using RaceDecoder = std::function<Tensor(const Tensor& latents)>;

/// Is told of a race's runs, but for the doubled reference's.
class RaceObserver {
 public:
  virtual ~RaceObserver() = default;
  /// A run is to begin: by contender, then by lane; the reference's last. @return what watches it, or null
  virtual Watcher* begun(const Recipe& recipe, size_t lane) = 0;
  /// It is over. @param watcher  what `begun` returned, not null
  virtual void ended(Watcher* watcher, const Outcome& outcome) = 0;
};

/// Runs all contenders and references in one engine, so that they share denoiser calls.
/// @param max_batch  the most runs in one denoiser call, 1 or more
/// @param called     called for each answer to a run that is not adaptive
/// @param observer   null: nobody is told
/// @throws Error  a run failed; the text names the run and the reason
RaceResult run_race(
    const Race& race, Denoiser denoiser, const RaceDecoder& decode, int64_t max_batch = 16,
    const std::function<void()>& called = [] {}, RaceObserver* observer = nullptr);

/// How often run_race calls `called`.
int64_t calls_in(const Race& race);

/// A mean over lanes, and the standard deviation (with n - 1) where there are several lanes.
struct Spread {
  double mean = 0;
  std::optional<double> deviation;
};

/// A contender's results over all lanes.
struct Standing {
  size_t contender;           ///< index into the race's contenders
  double steps, calls_total;  ///< means over the lanes, which differ for an adaptive sampler
  Spread latents, picture;    ///< of its distances to the reference
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

}  // namespace steplapse
