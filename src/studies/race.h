#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/engine.h"
#include "steplapse/recipe.h"

namespace steplapse {

/// A sampler in a race, with the levels that its denoiser calls pay for.
struct Contender {
  std::string sampler;  ///< of samplers()
  SamplerOptions options = {};
  Schedule schedule = {};
  std::optional<int64_t> calls =
      std::nullopt;            ///< how often it may ask the denoiser; none: adaptive, as often as it likes
  int64_t denoiser_calls = 0;  ///< how often it will; 0 where only the run can tell
};

/// The levels for a number of steps. @throws std::invalid_argument  they can't be had
using ScheduleOf = std::function<Schedule(int64_t steps)>;

/// The sampler with the most steps that ask no more than `calls` times, told nothing but its own eta.
/// @throws std::invalid_argument  one step asks more often, or the schedule has too few levels to ask as often; in
///                                numbers: "asks 1000 times in the 1000 steps there can be"
Contender contender_within(const Sampler& sampler, int64_t calls, const ScheduleOf& schedule_of);

/// A prompt and a seed: where all contenders start.
struct Lane {
  std::string prompt;
  Recipe recipe;  ///< its noise and prediction type; sampler, options and levels are each contender's
  Guidance guidance;
};

/// All start from the lane's noise times the same scale at the same level, and end at sigma 0.
struct Race {
  std::vector<Contender> contenders;
  Contender reference;  ///< deterministic: what distances are measured from
  Contender doubled;    ///< the reference with twice the calls, which tells how far off it is itself
  std::vector<Lane> lanes;
};

/// @throws std::invalid_argument  schedules that start elsewhere than the reference's, or end elsewhere than at sigma 0;
///                                the text names both starts
void check_start(const Race& race);

/// Between the ends of two runs.
struct Distance {
  double latents = 0;  ///< root mean square of the difference, over the root mean square of the reference's latents
  double picture = 0;  ///< root mean square of the difference of pixels, 0 to 255 but not rounded
};

/// One contender in one lane.
struct RaceRun {
  size_t contender, lane;      ///< of the race
  int64_t steps = 0;           ///< of its schedule; an adaptive one's own
  int64_t denoiser_calls = 0;  ///< as often as it did ask
  Distance distance = {};      ///< to the reference
};

struct RaceResult {
  std::vector<RaceRun> runs;               ///< by contender, then by lane
  std::vector<Distance> reference_errors;  ///< of each lane: from the reference to the doubled one
};

/// latents [1, C, h, w] -> images [1, 3, H, W] in [-1, 1], not clamped
using RaceDecoder = std::function<Tensor(const Tensor& latents)>;

/// Runs all of it through one engine, so that whatever waits shares denoiser calls.
/// @param max_batch  runs in one denoiser call, at most
/// @param called  told of every answer to a contender that is not adaptive, or to a reference
/// @throws Error  the first run that failed: which, and why
RaceResult run_race(
    const Race& race, Denoiser denoiser, const RaceDecoder& decode, int64_t max_batch = 16,
    const std::function<void()>& called = [] {});

/// How many answers `called` is told of.
int64_t calls_in(const Race& race);

/// A mean over lanes, and the standard deviation (of n - 1) around it, if there are several.
struct Spread {
  double mean = 0;
  std::optional<double> deviation;
};

/// A contender over all lanes.
struct Standing {
  size_t contender;
  double steps, denoiser_calls;  ///< means: an adaptive one's differ from lane to lane
  Spread latents, picture;       ///< of its distances
  bool told_apart;  ///< from the reference: the mean of the latents is kToldApart times the reference's own error
};

/// From less than this many times the reference's own error nothing can be read: for a reference of order 2, whose distance to
/// the doubled one is three quarters of its distance to the limit, a third of a distance may then be the reference's.
inline constexpr double kToldApart = 4;

struct Standings {
  std::vector<Standing> contenders;  ///< in the order of the race
  Spread reference_latents, reference_picture;
};
Standings standings_of(const Race& race, const RaceResult& result);

}  // namespace steplapse
