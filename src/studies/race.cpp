#include "studies/race.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

/// Counts what a run asks and steps.
class Tally : public Watcher {
 public:
  explicit Tally(const std::function<void()>* called) : called_(called) {}

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

/// A contender's run in a lane, and how it ended.
struct Entry {
  const Contender* contender;
  const Lane* lane;
  Tensor latents = {};
  int64_t calls = 0, steps = 0;
};

Trajectory start_of(const Contender& contender, const Lane& lane) {
  Recipe recipe = lane.recipe;
  recipe.sampler = contender.sampler;
  recipe.options = contender.options;
  recipe.schedule = contender.schedule;
  return start(recipe);
}

[[noreturn]] void refuse(const Entry& entry, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& thrown) {
    const Failure failure = failure_of(thrown);
    throw Error(failure.code, entry.contender->sampler + " with " + in_quotes(entry.lane->prompt) + ", seed " +
                                  std::to_string(entry.lane->recipe.seed) + ": " + failure.message);
  }
}

/// Runs all entries to their ends, the longest first: they would else go on alone when the others have ended.
void run_together(std::vector<Entry>& entries, Denoiser denoiser, int64_t max_batch,
                  const std::function<void()>& called) {
  std::vector<Entry*> order;
  for (Entry& entry : entries) order.push_back(&entry);
  const auto length = [](const Entry* entry) {
    return entry->contender->calls.value_or(std::numeric_limits<int64_t>::max());
  };
  std::stable_sort(order.begin(), order.end(), [&](const Entry* a, const Entry* b) { return length(a) > length(b); });

  Engine engine(std::move(denoiser), entries.front().lane->recipe.prediction_type, max_batch);
  std::deque<Tally> tallies;
  for (const Entry* entry : order) {
    tallies.emplace_back(entry->contender->calls ? &called : nullptr);
    engine.add(start_of(*entry->contender, *entry->lane), entry->lane->guidance, &tallies.back());
  }
  engine.run([&](size_t i, const Outcome& outcome) {
    if (outcome.error) refuse(*order[i], outcome.error);
    order[i]->latents = outcome.latents;
    order[i]->calls = tallies[i].calls;
    order[i]->steps = tallies[i].steps;
  });
}

double rms(const Tensor& x) { return x.to(at::kDouble).square().mean().sqrt().item<double>(); }

/// An end that others are measured from: its picture is decoded once.
class Mark {
 public:
  Mark(Tensor latents, const RaceDecoder& decode)
      : latents_(std::move(latents)), decode_(decode), picture_(pixels_of(latents_)) {}

  Distance to(const Tensor& latents) const {
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

Contender contender_within(const Sampler& sampler, int64_t calls, const ScheduleOf& schedule_of) {
  Contender best{.sampler = std::string(sampler.name), .options = {.eta = sampler.eta.value_or(0)}, .calls = calls};
  bool levels_end = false;  // at fewer steps than were tried
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
    if (asked > calls) {
      levels_end = false;
      if (steps == 1) throw std::invalid_argument("asks " + std::to_string(asked) + " times in a single step");
      return false;
    }
    best.schedule = std::move(schedule);
    best.denoiser_calls = asked;
    return true;
  };

  int64_t most = 1, too_many = 2;  // `most` fits
  for (fits(most); fits(too_many); too_many *= 2) most = too_many;
  while (too_many - most > 1) {
    const int64_t middle = most + (too_many - most) / 2;
    (fits(middle) ? most : too_many) = middle;
  }
  if (levels_end && best.denoiser_calls < calls) {
    throw std::invalid_argument("asks " + counted(best.denoiser_calls, "time") + " in the " +
                                counted(best.schedule.steps(), "step") + " there can be");
  }
  return best;
}

void check_start(const Race& race) {
  const auto check = [&](const Contender& contender) {
    const Schedule &wanted = race.reference.schedule, &found = contender.schedule;
    if (found.levels.front() != wanted.levels.front() || found.init_scale != wanted.init_scale) {
      throw std::invalid_argument("starts at " + start_text(found) + ", at " + start_text(wanted));
    }
    if (found.levels.back().sigma != 0) throw std::invalid_argument("does not end at sigma 0");
  };
  check(race.reference);
  check(race.doubled);
  for (const Contender& contender : race.contenders) check(contender);
}

int64_t calls_in(const Race& race) {
  int64_t calls = race.reference.denoiser_calls + race.doubled.denoiser_calls;
  for (const Contender& contender : race.contenders) calls += contender.denoiser_calls;
  return calls * static_cast<int64_t>(race.lanes.size());
}

RaceResult run_race(const Race& race, Denoiser denoiser, const RaceDecoder& decode, int64_t max_batch,
                    const std::function<void()>& called) {
  std::vector<Entry> entries;  // by contender, then by lane; the references last
  const auto enter = [&](const Contender& contender) {
    for (const Lane& lane : race.lanes) entries.push_back({&contender, &lane});
  };
  for (const Contender& contender : race.contenders) enter(contender);
  enter(race.reference);
  enter(race.doubled);
  run_together(entries, std::move(denoiser), max_batch, called);

  const size_t lanes = race.lanes.size(), contenders = race.contenders.size();
  RaceResult result;
  std::vector<Mark> references;
  for (size_t lane = 0; lane < lanes; ++lane) {
    references.emplace_back(entries[contenders * lanes + lane].latents, decode);
    result.reference_errors.push_back(references.back().to(entries[(contenders + 1) * lanes + lane].latents));
  }
  for (size_t i = 0; i < contenders * lanes; ++i) {
    const Entry& entry = entries[i];
    const int64_t steps = entry.contender->calls ? entry.contender->schedule.steps() : entry.steps;
    result.runs.push_back({i / lanes, i % lanes, steps, entry.calls, references[i % lanes].to(entry.latents)});
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
                                    spread_over(runs, [](const RaceRun& run) { return run.denoiser_calls; }).mean,
                                    distance,
                                    spread_over(runs, [](const RaceRun& run) { return run.distance.picture; }),
                                    distance.mean >= kToldApart * standings.reference_latents.mean});
  }
  return standings;
}

}  // namespace steplapse
