// A race over data whose ends are known. For data from N(0, s²) the probability-flow ODE, in y = x / alpha over
// k = sigma / alpha (Karras et al. 2022, arXiv:2206.00364), is dy/dk = k y / (s² + k²): every element of x is multiplied by the
// same number, sqrt(s² + to²) / sqrt(s² + from²), and Euler's method multiplies by 1 + (to - from) from / (s² + from²).
#include "studies/race.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "sampling/samplers/samplers.h"
#include "steplapse/error.h"
#include "steplapse/schedule.h"
#include "studies/race_report.h"
#include "support/training_noise_maker.h"

namespace steplapse {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StrEq;
using testing::ThrowsMessage;

constexpr double kDeviation = 0.5;  // s

const TrainingNoise& noise() {
  static const TrainingNoise noise = stable_diffusion();
  return noise;
}

Schedule levels(int64_t steps) { return make_schedule(noise(), schedule_named("karras"), {.steps = steps}); }
Schedule leading(int64_t steps) { return make_schedule(noise(), schedule_named("leading"), {.steps = steps}); }

/// The exact denoiser: the mean of eps given x is sigma x / (alpha² s² + sigma²).
Tensor denoise(const Tensor& x, const Tensor& timesteps, const std::vector<Tensor>&) {
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < x.size(0); ++i) {
    const double k = NoiseScale(noise()).sigma_at(timesteps[i].item<double>()), alpha = 1 / std::hypot(1, k);
    rows.push_back(x.narrow(0, i, 1).to(at::kDouble) * (k / alpha / (kDeviation * kDeviation + k * k)));
  }
  return at::cat(rows).to(at::kFloat);
}

/// A picture of small numbers, which no clamp cuts.
Tensor decode(const Tensor& latents) { return 0.1 * latents.narrow(1, 0, 3); }

RaceLane lane(uint64_t seed) {
  Recipe recipe;
  recipe.seed = seed;
  recipe.init_noise = Noise(Rng::cpu, seed).draw({1, 3, 4, 4});
  return {"red apple", recipe, {}};
}

Contender within(std::string_view sampler, int64_t calls) {
  return contender_within(sampler_named(sampler), calls, levels);
}

Race race_of(std::vector<Contender> contenders, std::string_view reference = "dpmpp_2m", int64_t calls = 400) {
  return {std::move(contenders), within(reference, calls), within(reference, 2 * calls), {lane(1), lane(2)}};
}

/// What Euler's method makes of 1 in n steps, and what the exact way down to the last level but one does; the last step is x0.
double multiplied(int64_t steps, bool exactly) {
  const std::vector<NoiseLevel> all = levels(steps).levels;
  const double variance = kDeviation * kDeviation;
  double y = 1;
  for (size_t i = 0; i + 1 < all.size(); ++i) {
    const double from = noise_ratio(all[i]), to = noise_ratio(all[i + 1]);
    y *= exactly && to > 0 ? std::sqrt((variance + to * to) / (variance + from * from))
                           : 1 + (to - from) * from / (variance + from * from);
  }
  return y;
}

// ---- equal cost -------------------------------------------------------------------------------------------------------

TEST(Race, CountsWhatASamplerAsks) {
  const auto count = [](std::string_view sampler, int64_t steps) {
    return static_cast<int64_t>(outline(sampler_named(sampler), {}, levels(steps)).questions.size());
  };
  for (const int64_t n : {1, 2, 7, 30}) {
    EXPECT_EQ(count("euler", n), n);
    EXPECT_EQ(count("dpmpp_2m", n), n);
    EXPECT_EQ(count("dpm_fast", n), n);
    EXPECT_EQ(count("heun", n), 2 * n - 1);
    EXPECT_EQ(count("dpm2", n), 2 * n - 1);
    EXPECT_EQ(count("pndm", n), n == 1 ? 1 : n + 1);
    EXPECT_EQ(count("restart", n), 2 * n - 1);
  }
}

// The next number of steps asks more often, for each sampler there is.
TEST(Race, TakesTheMostStepsWithinItsCalls) {
  for (const Sampler& sampler : samplers()) {
    if (sampler.adaptive) continue;
    for (const int64_t calls : {1, 2, 5, 20, 41}) {
      const Contender contender = contender_within(sampler, calls, levels);
      const auto count = [&](int64_t steps) {
        return static_cast<int64_t>(outline(sampler, contender.options, levels(steps)).questions.size());
      };
      EXPECT_LE(contender.calls_total, calls) << sampler.name;
      EXPECT_EQ(contender.calls_total, count(contender.schedule.steps())) << sampler.name;
      EXPECT_GT(count(contender.schedule.steps() + 1), calls) << sampler.name;
    }
  }
}

Trajectory sample_asking_thrice(Tensor x, Schedule schedule, SamplerOptions, Noise) {
  for (int i = 0; i < 3; ++i) {
    const Prediction p = co_await predict(x, schedule.levels.front());
    x = p.x0;
  }
  co_return x;
}

TEST(Race, SaysWhichCallsCantBeSpent) {
  const Sampler thrice{.name = "thrice", .label = "", .start = sample_asking_thrice};
  EXPECT_THAT([&] { contender_within(thrice, 2, levels); },
              ThrowsMessage<std::invalid_argument>(StrEq("asks 3 times in a single step")));
  EXPECT_EQ(within("euler", 1000).schedule.steps(), 1000);
  EXPECT_THAT([] { within("euler", 1001); },
              ThrowsMessage<std::invalid_argument>(StrEq("asks 1000 times in the 1000 steps that the schedule has")));
  EXPECT_EQ(within("heun", 1999).schedule.steps(), 1000);
  EXPECT_THAT([] { within("heun", 2001); },
              ThrowsMessage<std::invalid_argument>(StrEq("asks 1999 times in the 1000 steps that the schedule has")));
}

// ---- one start --------------------------------------------------------------------------------------------------------

TEST(Race, AllAskFirstAboutTheSameLatents) {
  Race race = race_of({within("euler", 5), within("heun", 9), within("pndm", 3), within("euler_a", 4)}, "euler", 20);
  race.lanes.pop_back();
  bool first = true;
  run_race(
      race,
      [&](const Tensor& x, const Tensor& timesteps, const std::vector<Tensor>& conditioning) {
        if (first) {
          EXPECT_EQ(x.size(0), 6);
          EXPECT_TRUE(at::equal(x, x.narrow(0, 0, 1).expand_as(x)));
          EXPECT_TRUE(at::equal(x.narrow(0, 0, 1), race.lanes[0].recipe.init_noise * levels(1).levels[0].sigma));
          EXPECT_TRUE(at::equal(timesteps, at::full({6}, 999, at::kFloat)));
        }
        first = false;
        return denoise(x, timesteps, conditioning);
      },
      decode);
}

TEST(Race, RefusesSchedulesThatStartElsewhere) {
  Race race = race_of({within("euler", 10)});
  EXPECT_NO_THROW(check_start(race));
  race.contenders.push_back(contender_within(sampler_named("euler"), 10, leading));
  EXPECT_THAT([&] { check_start(race); }, ThrowsMessage<std::invalid_argument>(AllOf(
                                              HasSubstr("starts at sigma "), HasSubstr(" for 10 steps, at sigma 14.61"),
                                              HasSubstr(" for 400 steps"))));
}

// ---- distances --------------------------------------------------------------------------------------------------------

// The reference's own distance to the limit is below 1e-5 here.
TEST(Race, DistanceIsWhatTheMethodsTheorySays) {
  const Race race = race_of({within("euler", 10), within("euler", 40)});
  const RaceResult result = run_race(race, denoise, decode);
  ASSERT_EQ(result.runs.size(), 4u);
  for (const RaceRun& run : result.runs) {
    const int64_t steps = run.contender == 0 ? 10 : 40;
    EXPECT_EQ(run.steps, steps);
    EXPECT_EQ(run.calls_total, steps);
    const double wanted = std::abs(multiplied(steps, false) / multiplied(steps, true) - 1);
    EXPECT_NEAR(run.distance.latents, wanted, 3e-5);
    EXPECT_GT(wanted, 3e-3);

    // The end is the start times a number; a picture has 127.5 / 255 of a unit of the decoder's answer.
    const Schedule schedule = levels(1);
    const Tensor start = race.lanes[run.lane].recipe.init_noise * (schedule.init_scale / schedule.levels[0].alpha);
    const double size = multiplied(steps, true) * start.square().mean().sqrt().item<double>();
    EXPECT_NEAR(run.distance.picture, 127.5 * 0.1 * wanted * size, 1e-3 * size);
  }
}

TEST(Race, ReferencesErrorIsItsDistanceToItselfWithTwiceTheCalls) {
  const RaceResult result = run_race(race_of({within("heun", 10)}, "euler", 50), denoise, decode);
  for (const auto& error : result.reference_errors) {
    EXPECT_NEAR(error.value().latents, std::abs(multiplied(100, false) / multiplied(50, false) - 1), 1e-5);
  }
}

TEST(Race, HeunBeatsEulerAtEqualCalls) {
  const Race race = race_of({within("euler", 20), within("heun", 20), within("euler", 60), within("heun", 60)});
  const auto standings = standings_of(race, run_race(race, denoise, decode)).contenders;
  const auto distance = [&](size_t i) { return standings[i].latents.mean; };
  EXPECT_LT(distance(1), distance(0));
  EXPECT_LT(distance(3), distance(2));
  // Of order 1 and 2: three times the calls are a third and about a ninth of the distance.
  EXPECT_NEAR(distance(0) / distance(2), 3, 0.3);
  EXPECT_GT(distance(1) / distance(3), 8);
}

TEST(Race, AdaptiveSamplersSpendWhatTheyLike) {
  Race race = race_of({within("euler", 10)});
  race.contenders.push_back({.sampler = "dpm_adaptive", .schedule = race.reference.schedule});
  int64_t told = 0;
  const RaceResult result = run_race(race, denoise, decode, {.called = [&] { ++told; }});
  EXPECT_EQ(told, calls_in(race));
  EXPECT_EQ(told, 2 * (10 + 400 + 800));
  EXPECT_GT(result.runs[2].calls_total, result.runs[2].steps);
  EXPECT_LT(result.runs[2].distance.latents, 0.05);  // its tolerance
}

/// Answers NaN to latents at this timestep that lie in the last row of a call, which is the run added last.
Denoiser failing_at(const Tensor& start) {
  return [start](const Tensor& x, const Tensor& timesteps, const std::vector<Tensor>& conditioning) {
    const Tensor answer = denoise(x, timesteps, conditioning);
    const Tensor fails = (x == start).flatten(1).all(1).reshape({-1, 1, 1, 1});
    return at::where(fails, std::numeric_limits<double>::quiet_NaN(), answer);
  };
}

Tensor start_of(const RaceLane& lane) {
  const Schedule schedule = levels(1);
  return lane.recipe.init_noise * schedule.init_scale;
}

/// Fails each question of an order, counted over all runs.
Denoiser failing_call(int64_t number) {
  return [number, call = std::make_shared<int64_t>(0)](const Tensor& x, const Tensor& timesteps,
                                                       const std::vector<Tensor>& conditioning) {
    if (++*call == number) throw std::runtime_error("the network fell over");
    return denoise(x, timesteps, conditioning);
  };
}

// With one run in a call, the runs are asked in the order of their budgets: doubled, reference, euler 5, heun 3.
TEST(Race, ARunThatFailsDoesNotEndTheOthers) {
  Race race = race_of({within("heun", 3), within("euler", 5)}, "euler", 20);
  race.lanes = {lane(7)};
  const RaceResult whole = run_race(race, denoise, decode, {.max_batch = 1});
  const RaceResult result = run_race(race, failing_call(40 + 20 + 2), decode, {.max_batch = 1});
  EXPECT_EQ(result.runs[1].failure, "the network fell over");
  EXPECT_TRUE(result.failed());
  EXPECT_FALSE(result.runs[0].failed());
  EXPECT_EQ(result.runs[0].distance.latents, whole.runs[0].distance.latents);
  const Standings standings = standings_of(race, result);
  EXPECT_EQ(standings.contenders[1].failed, 1u);
  EXPECT_EQ(standings.contenders[1].runs, 0u);
  EXPECT_THAT(near_from(race, standings, 255).back().calls, testing::Eq(std::nullopt));
}

TEST(Race, ALaneWithoutAReferenceHasNoDistances) {
  const Race race = race_of({within("euler", 2)}, "heun", 3);
  const RaceResult result = run_race(race, failing_at(start_of(race.lanes[1])), decode);
  EXPECT_FALSE(result.runs[0].failed());
  EXPECT_THAT(result.runs[1].failure, HasSubstr("step 1: the denoiser answered NaN at timestep 999"));
  EXPECT_FALSE(result.reference_errors[1].has_value());
  EXPECT_EQ(standings_of(race, result).reference_latents.mean, result.reference_errors[0]->latents);
}

TEST(Race, WhatHasNoReferenceSaysWhy) {
  const Race race = race_of({within("euler", 2)}, "euler", 3);
  const RaceResult result = run_race(race, failing_call(6 + 6 + 3 + 1), decode, {.max_batch = 1});
  EXPECT_FALSE(result.runs[0].failed());
  EXPECT_EQ(result.runs[1].failure, "its reference failed: the network fell over");
}

TEST(Race, WithoutAnyReferenceItFailsAndSaysWhich) {
  Race race = race_of({within("euler", 2)}, "heun", 3);
  race.lanes = {lane(7)};
  EXPECT_THAT(
      [&] { run_race(race, failing_at(start_of(race.lanes[0])), decode); },
      ThrowsMessage<Error>(StrEq("heun with 'red apple', seed 7, the reference: step 1: the denoiser answered NaN "
                                 "at timestep 999, sigma 0.997667; a smaller guidance scale or another compute "
                                 "dtype may help")));
}

TEST(Race, AnInterruptionEndsIt) {
  const Denoiser interrupted = [](const Tensor&, const Tensor&, const std::vector<Tensor>&) -> Tensor {
    throw RaceInterrupted();
  };
  EXPECT_THROW(run_race(race_of({within("euler", 2)}, "heun", 3), interrupted, decode), RaceInterrupted);
}

TEST(Race, PicturesAreKeptWhereAskedFor) {
  const Race race = race_of({within("euler", 10)}, "euler", 10);
  EXPECT_FALSE(run_race(race, denoise, decode).runs[0].picture.has_value());
  const RaceResult result = run_race(race, denoise, decode, {.keep_pictures = true});
  EXPECT_EQ(result.runs[0].picture.value().rgb, result.reference_pictures[0].value().rgb);
  EXPECT_NE(result.runs[0].picture.value().rgb, result.reference_pictures[1].value().rgb);
}

// ---- standings --------------------------------------------------------------------------------------------------------

RaceResult result_of(double error, std::vector<double> latents) {
  RaceResult result;
  for (size_t i = 0; i < latents.size(); ++i) {
    result.runs.push_back({.contender = 0, .lane = i, .distance = {latents[i], 10 * latents[i]}});
    result.reference_errors.push_back(Distance{error, 0});
  }
  return result;
}

TEST(Race, SpreadIsTheStandardDeviationOverLanes) {
  const Race race = race_of({within("euler", 1)}, "euler", 1);
  const Standing standing = standings_of(race, result_of(0, {1, 2, 3})).contenders[0];
  EXPECT_DOUBLE_EQ(standing.latents.mean, 2);
  EXPECT_DOUBLE_EQ(standing.latents.deviation.value(), 1);
  EXPECT_DOUBLE_EQ(standing.picture.mean, 20);
  EXPECT_DOUBLE_EQ(standing.picture.deviation.value(), 10);
  EXPECT_FALSE(standings_of(race, result_of(0, {1})).contenders[0].latents.deviation.has_value());
}

TEST(Race, BelowFourTimesTheReferencesErrorNothingIsToldApart) {
  const Race race = race_of({within("euler", 1)}, "euler", 1);
  EXPECT_TRUE(standings_of(race, result_of(0.5, {1, 3})).contenders[0].distinguishable);
  EXPECT_FALSE(standings_of(race, result_of(0.51, {1, 3})).contenders[0].distinguishable);
}

/// Runs of one lane with these distances of pictures.
RaceResult pictures_of(std::vector<double> distances) {
  RaceResult result;
  for (size_t i = 0; i < distances.size(); ++i)
    result.runs.push_back({.contender = i, .lane = 0, .distance = {1, distances[i]}});
  result.reference_errors = {Distance{}};
  return result;
}

TEST(Race, ASamplerIsNearFromTheCallsAfterWhichItStaysNear) {
  const Race race = race_of({within("euler", 5), within("heun", 5), within("unipc", 5), within("euler_a", 5),
                             within("euler", 10), within("heun", 10), within("unipc", 10), within("euler_a", 10),
                             within("euler", 20), within("heun", 20), within("unipc", 20), within("euler_a", 20)},
                            "euler", 1);
  // euler is near by chance with 5 calls; heun never is; euler_a ends elsewhere on purpose.
  const RaceResult result = pictures_of({0.5, 9, 3, 0, 2, 8, 1, 0, 0.9, 7, 0.1, 0});
  const auto near = near_from(race, standings_of(race, result), 1);
  ASSERT_EQ(near.size(), 3u);
  EXPECT_EQ(near[0].sampler, "unipc");
  EXPECT_EQ(near[0].calls.value(), 10);
  EXPECT_EQ(near[1].sampler, "euler");
  EXPECT_EQ(near[1].calls.value(), 20);
  EXPECT_EQ(near[2].sampler, "heun");
  EXPECT_FALSE(near[2].calls.has_value());
}

}  // namespace
}  // namespace steplapse
