#include "studies/race.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "base/text.h"
#include "sampling/watchers.h"
#include "steplapse/error.h"
#include "studies/comparison.h"

namespace steplapse {
namespace {

/// Counts the answers and steps of a run.
class RunCounter : public Watcher {
 public:
  explicit RunCounter(const std::function<void()>* called) : called_(called) {}

  void answered(const Question&, const Answer&) override {
    ++calls;
    if (called_) (*called_)();
  }
  Verdict stepped(const Step& step) override {
    steps = step.number;
    return {};
  }

  int64_t calls = 0, steps = 0;

 private:
  const std::function<void()>* called_;
};

/// A contender's run in a lane, and its result.
struct LaneRun {
  const Contender* contender;
  const RaceLane* lane;
  Tensor latents = {};
  int64_t calls = 0, steps = 0;
  Watcher* observing = nullptr;
};

Recipe recipe_of(const Contender& contender, const RaceLane& lane) {
  Recipe recipe = lane.recipe;
  recipe.sampler = contender.sampler;
  recipe.options = contender.options;
  recipe.schedule = contender.schedule;
  return recipe;
}

[[noreturn]] void rethrow_naming(const LaneRun& run, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& thrown) {
    const Failure failure = failure_of(thrown);
    throw Error(failure.code, run.contender->sampler + " with " + in_quotes(run.lane->prompt) + ", seed " +
                                  std::to_string(run.lane->recipe.seed) + ": " + failure.message);
  }
}

/// Runs all to their ends. The longest start first; otherwise they would go on alone once the others have ended.
void run_together(std::vector<LaneRun>& runs, Denoiser denoiser, int64_t max_batch, const std::function<void()>& called,
                  RaceObserver* observer) {
  std::vector<LaneRun*> longest_first;
  for (LaneRun& run : runs) longest_first.push_back(&run);
  const auto length = [](const LaneRun* run) {
    return run->contender->call_budget.value_or(std::numeric_limits<int64_t>::max());
  };
  std::stable_sort(longest_first.begin(), longest_first.end(),
                   [&](const LaneRun* a, const LaneRun* b) { return length(a) > length(b); });

  Engine engine(std::move(denoiser), runs.front().lane->recipe.prediction_type, max_batch);
  std::deque<RunCounter> counters;
  std::deque<Watchers> watchers;
  for (const LaneRun* run : longest_first) {
    counters.emplace_back(run->contender->call_budget ? &called : nullptr);
    watchers.emplace_back().add(counters.back());
    if (run->observing) watchers.back().add(*run->observing);
    engine.add(start(recipe_of(*run->contender, *run->lane)), run->lane->guidance, &watchers.back());
  }
  engine.run([&](size_t i, const Outcome& outcome) {
    LaneRun& run = *longest_first[i];
    if (run.observing && !outcome.error) observer->ended(run.observing, outcome);
    if (outcome.error) rethrow_naming(run, outcome.error);
    run.latents = outcome.latents;
    run.calls = counters[i].calls;
    run.steps = counters[i].steps;
  });
}

/// A result that distances are measured to. Its picture is decoded once.
class ReferenceResult {
 public:
  ReferenceResult(Tensor latents, const RaceDecoder& decode)
      : latents_(std::move(latents)), decode_(decode), picture_(pixels_of(latents_)) {}

  Distance distance_to(const Tensor& latents) const {
    return {rms(latents - latents_) / rms(latents_), rms(pixels_of(latents) - picture_)};
  }

 private:
  Tensor pixels_of(const Tensor& latents) const { return decode_(latents).clamp(-1, 1).mul(127.5); }

  Tensor latents_;
  const RaceDecoder& decode_;
  Tensor picture_;
};

Spread spread_of(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  Spread spread;
  for (const double value : values) spread.mean += value / n;
  if (values.size() < 2) return spread;
  double squares = 0;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  spread.deviation = std::sqrt(squares / (n - 1));
  return spread;
}

template <typename Rows, typename Value>
Spread spread_over(const Rows& rows, Value value) {
  std::vector<double> values;
  for (const auto& row : rows) values.push_back(static_cast<double>(value(row)));
  return spread_of(values);
}

std::string start_text(const Schedule& schedule) {
  std::ostringstream text;
  text << "sigma " << noise_ratio(schedule.levels.front()) << " (times " << schedule.init_scale << ") for "
       << counted(schedule.steps(), "step");
  return text.str();
}

}  // namespace

Contender contender_within(const Sampler& sampler, int64_t call_budget, const ScheduleOf& schedule_of) {
  Contender best{
      .sampler = std::string(sampler.name), .options = {.eta = sampler.eta.value_or(0)}, .call_budget = call_budget};
  bool levels_end = false;  // whether the schedule has no levels for the number of steps tried last without success
  // Whether a number of steps is possible within the budget. The largest that fits is kept in `best`.
  const auto fits = [&](int64_t steps) {
    Schedule schedule;
    try {
      schedule = schedule_of(steps);
    } catch (const std::invalid_argument&) {
      if (steps == 1) throw;
      levels_end = true;
      return false;
    }
    const auto asked = static_cast<int64_t>(outline(sampler, best.options, schedule).questions.size());
    if (asked > call_budget) {
      levels_end = false;
      if (steps == 1) throw std::invalid_argument("asks " + std::to_string(asked) + " times in a single step");
      return false;
    }
    best.schedule = std::move(schedule);
    best.calls_total = asked;
    return true;
  };

  // Doubles the number of steps until it no longer fits, then bisects between the two.
  fits(1);  // throws where it does not
  int64_t most = 1, too_many = 2;
  while (fits(too_many)) {
    most = too_many;
    too_many *= 2;
  }
  while (too_many - most > 1) {
    const int64_t middle = most + (too_many - most) / 2;
    if (fits(middle)) {
      most = middle;
    } else {
      too_many = middle;
    }
  }
  if (levels_end && best.calls_total < call_budget) {
    throw std::invalid_argument("asks " + counted(best.calls_total, "time") + " in the " +
                                counted(best.schedule.steps(), "step") + " that the schedule has");
  }
  return best;
}

void check_start(const Race& race) {
  const auto check = [&](const Contender& contender) {
    const Schedule &expected = race.reference.schedule, &found = contender.schedule;
    if (found.levels.front() != expected.levels.front() || found.init_scale != expected.init_scale) {
      throw std::invalid_argument("starts at " + start_text(found) + ", at " + start_text(expected));
    }
    if (found.levels.back().sigma != 0) throw std::invalid_argument("does not end at sigma 0");
  };
  check(race.reference);
  check(race.doubled);
  for (const Contender& contender : race.contenders) check(contender);
}

int64_t calls_in(const Race& race) {
  int64_t calls = race.reference.calls_total + race.doubled.calls_total;
  for (const Contender& contender : race.contenders) calls += contender.calls_total;
  return calls * static_cast<int64_t>(race.lanes.size());
}

RaceResult run_race(const Race& race, Denoiser denoiser, const RaceDecoder& decode, int64_t max_batch,
                    const std::function<void()>& called, RaceObserver* observer) {
  std::vector<LaneRun> runs;  // by contender, then by lane; the reference and the doubled one last
  const auto add_runs = [&](const Contender& contender) {
    for (const RaceLane& lane : race.lanes) runs.push_back({&contender, &lane});
  };
  const size_t lanes = race.lanes.size(), contenders = race.contenders.size();
  for (const Contender& contender : race.contenders) add_runs(contender);
  add_runs(race.reference);
  add_runs(race.doubled);
  for (size_t i = 0; observer && i < (contenders + 1) * lanes; ++i)
    runs[i].observing = observer->begun(recipe_of(*runs[i].contender, *runs[i].lane), i % lanes);
  run_together(runs, std::move(denoiser), max_batch, called, observer);

  RaceResult result;
  std::vector<ReferenceResult> references;
  for (size_t lane = 0; lane < lanes; ++lane) {
    references.emplace_back(runs[contenders * lanes + lane].latents, decode);
    result.reference_errors.push_back(references.back().distance_to(runs[(contenders + 1) * lanes + lane].latents));
  }
  for (size_t i = 0; i < contenders * lanes; ++i) {
    const LaneRun& run = runs[i];
    const int64_t steps = run.contender->call_budget ? run.contender->schedule.steps() : run.steps;
    result.runs.push_back({i / lanes, i % lanes, steps, run.calls, references[i % lanes].distance_to(run.latents)});
  }
  return result;
}

Standings standings_of(const Race& race, const RaceResult& result) {
  const auto latents = [](const Distance& distance) { return distance.latents; };
  const auto picture = [](const Distance& distance) { return distance.picture; };
  Standings standings{{}, spread_over(result.reference_errors, latents), spread_over(result.reference_errors, picture)};
  for (size_t contender = 0; contender < race.contenders.size(); ++contender) {
    std::vector<RaceRun> runs;
    for (const RaceRun& run : result.runs) {
      if (run.contender == contender) runs.push_back(run);
    }
    const Spread distance = spread_over(runs, [](const RaceRun& run) { return run.distance.latents; });
    standings.contenders.push_back({contender, spread_over(runs, [](const RaceRun& run) { return run.steps; }).mean,
                                    spread_over(runs, [](const RaceRun& run) { return run.calls_total; }).mean,
                                    distance,
                                    spread_over(runs, [](const RaceRun& run) { return run.distance.picture; }),
                                    distance.mean >= kDistinguishable * standings.reference_latents.mean});
  }
  return standings;
}

}  // namespace steplapse
