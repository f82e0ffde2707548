#include "studies/race.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <span>
#include <sstream>
#include <stdexcept>

#include "base/aten.h"
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

  void answered(const Question&, const Answer& answer) override {
    ++calls;
    milliseconds += answer.milliseconds;
    if (called_) (*called_)();
  }
  Verdict stepped(const Step& step) override {
    steps = step.number;
    return {};
  }

  int64_t calls = 0, steps = 0;
  double milliseconds = 0;

 private:
  const std::function<void()>* called_;
};

/// A contender's run in a lane, and its result.
struct LaneRun {
  const Contender* contender;
  const RaceLane* lane;
  Tensor latents = {};
  std::string failure = {};
  int64_t calls = 0, steps = 0;
  double network_seconds = 0;
  Watcher* observing = nullptr;
};

Recipe recipe_of(const Contender& contender, const RaceLane& lane) {
  Recipe recipe = lane.recipe;
  recipe.sampler = contender.sampler;
  recipe.options = contender.options;
  recipe.schedule = contender.schedule;
  return recipe;
}

/// "heun with 'red apple', seed 7".
std::string name_of(const LaneRun& run) {
  return run.contender->sampler + " with " + in_quotes(run.lane->prompt) + ", seed " +
         std::to_string(run.lane->recipe.seed);
}

/// Why a run failed. What ends the whole race goes on: an interruption, and a disk that takes no more.
std::string reason_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const RaceInterrupted&) {
    throw;
  } catch (const std::exception& thrown) {
    const Failure failure = failure_of(thrown);
    if (failure.code == ExitCode::output) throw;
    return failure.message;
  }
}

/// Runs all to their ends. The longest start first; otherwise they would go on alone once the others have ended.
void run_together(std::vector<LaneRun>& runs, Denoiser denoiser, const RaceRunning& running) {
  std::vector<LaneRun*> longest_first;
  for (LaneRun& run : runs) longest_first.push_back(&run);
  const auto length = [](const LaneRun* run) {
    return run->contender->call_budget.value_or(std::numeric_limits<int64_t>::max());
  };
  std::stable_sort(longest_first.begin(), longest_first.end(),
                   [&](const LaneRun* a, const LaneRun* b) { return length(a) > length(b); });

  Engine engine(std::move(denoiser), runs.front().lane->recipe.prediction_type, running.max_batch);
  std::deque<RunCounter> counters;
  std::deque<Watchers> watchers;
  for (const LaneRun* run : longest_first) {
    counters.emplace_back(run->contender->call_budget ? &running.called : nullptr);
    watchers.emplace_back().add(counters.back());
    if (run->observing) watchers.back().add(*run->observing);
    engine.add(start(recipe_of(*run->contender, *run->lane)), run->lane->guidance, &watchers.back());
  }
  engine.run([&](size_t i, const Outcome& outcome) {
    LaneRun& run = *longest_first[i];
    if (outcome.error) run.failure = reason_of(outcome.error);
    if (run.observing) running.observer->ended(run.observing, outcome);
    run.latents = outcome.latents;
    run.calls = counters[i].calls;
    run.steps = counters[i].steps;
    run.network_seconds = counters[i].milliseconds / 1000;
  });
}

/// Latents and what the decoder makes of them, clamped, in levels from -127.5 to 127.5.
struct Decoded {
  /// @throws std::runtime_error  the decoder's answer is not finite
  Decoded(const Tensor& of, const RaceDecoder& decode) : latents(of), image(decode(of).clamp(-1, 1)) {
    if (!at::isfinite(image).all().item<bool>()) throw std::runtime_error("the decoder answered NaN");
  }
  Tensor pixels() const { return image.mul(127.5); }

  Tensor latents, image;
};

Distance distance_between(const Decoded& reference, const Decoded& other) {
  return {rms(other.latents - reference.latents) / rms(reference.latents), rms(other.pixels() - reference.pixels())};
}

/// Compares the runs of a race with the references of their lanes.
class RaceJudge {
 public:
  /// @param references, doubled  a run a lane
  RaceJudge(std::span<const LaneRun> references, std::span<const LaneRun> doubled, const RaceDecoder& decode,
            bool keep_pictures)
      : decode_(decode), keep_pictures_(keep_pictures) {
    for (size_t lane = 0; lane < references.size(); ++lane) add_lane(references[lane], doubled[lane]);
  }

  RaceRun judged(const LaneRun& run, size_t contender, size_t lane) const {
    RaceRun judged{.contender = contender,
                   .lane = lane,
                   .steps = run.contender->call_budget ? run.contender->schedule.steps() : run.steps,
                   .calls_total = run.calls,
                   .network_seconds = run.network_seconds,
                   .failure = run.failure.empty() ? no_reference_[lane] : run.failure};
    if (judged.failed()) return judged;
    try {
      const Decoded end(run.latents, decode_);
      judged.distance = distance_between(*references_[lane], end);
      judged.picture = picture_of(end);
    } catch (const std::exception&) {
      judged.failure = reason_of(std::current_exception());
    }
    return judged;
  }

  std::optional<Distance> reference_error(size_t lane) const { return errors_[lane]; }
  std::optional<Picture> reference_picture(size_t lane) const {
    return references_[lane] ? picture_of(*references_[lane]) : std::nullopt;
  }

 private:
  void add_lane(const LaneRun& reference, const LaneRun& doubled) {
    std::string failure = reference.failure.empty() ? doubled.failure : reference.failure;
    references_.emplace_back();
    errors_.emplace_back();
    try {
      if (failure.empty()) references_.back().emplace(reference.latents, decode_);
      if (failure.empty()) errors_.back() = distance_between(*references_.back(), Decoded(doubled.latents, decode_));
    } catch (const std::exception&) {
      failure = reason_of(std::current_exception());
    }
    no_reference_.push_back(failure.empty() ? "" : "its reference failed: " + failure);
  }

  std::optional<Picture> picture_of(const Decoded& end) const {
    return keep_pictures_ ? std::optional(steplapse::picture_of(end.image, "a result")) : std::nullopt;
  }

  const RaceDecoder& decode_;
  const bool keep_pictures_;
  std::vector<std::optional<Decoded>> references_;
  std::vector<std::optional<Distance>> errors_;
  std::vector<std::string> no_reference_;  // why; empty: there is one
};

/// Without any reference a race says nothing.
void check_references(std::span<const LaneRun> references) {
  const LaneRun* failed = nullptr;
  for (const LaneRun& run : references) {
    if (run.failure.empty()) return;
    failed = failed ? failed : &run;
  }
  throw Error(ExitCode::run_failed, name_of(*failed) + ", the reference: " + failed->failure);
}

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
  for (const auto& row : rows) values.push_back(static_cast<double>(std::invoke(value, row)));
  return spread_of(values);
}

Standing standing_of(size_t contender, const RaceResult& result, double reference_error) {
  std::vector<RaceRun> ended;
  size_t failed = 0;
  for (const RaceRun& run : result.runs) {
    if (run.contender != contender) continue;
    if (run.failed())
      ++failed;
    else
      ended.push_back(run);
  }
  const Spread latents = spread_over(ended, [](const RaceRun& run) { return run.distance.latents; });
  return {.contender = contender,
          .runs = ended.size(),
          .failed = failed,
          .steps = spread_over(ended, &RaceRun::steps).mean,
          .calls_total = spread_over(ended, &RaceRun::calls_total).mean,
          .network_seconds = spread_over(ended, &RaceRun::network_seconds).mean,
          .latents = latents,
          .picture = spread_over(ended, [](const RaceRun& run) { return run.distance.picture; }),
          .distinguishable = latents.mean >= kDistinguishable * reference_error};
}

/// That which a contender's results are told by: what it was allowed, or made where nothing was said.
double calls_of(const Contender& contender, const Standing& standing) {
  return contender.call_budget ? static_cast<double>(*contender.call_budget) : standing.calls_total;
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

bool RaceResult::failed() const {
  return std::any_of(runs.begin(), runs.end(), [](const RaceRun& run) { return run.failed(); });
}

RaceResult run_race(const Race& race, Denoiser denoiser, const RaceDecoder& decode, const RaceRunning& running) {
  std::vector<LaneRun> runs;  // by contender, then by lane; the reference and the doubled one last
  const auto add_runs = [&](const Contender& contender) {
    for (const RaceLane& lane : race.lanes) runs.push_back({&contender, &lane});
  };
  const size_t lanes = race.lanes.size(), contended = race.contenders.size() * lanes;
  for (const Contender& contender : race.contenders) add_runs(contender);
  add_runs(race.reference);
  add_runs(race.doubled);
  for (size_t i = 0; running.observer && i < contended + lanes; ++i)
    runs[i].observing = running.observer->begun(recipe_of(*runs[i].contender, *runs[i].lane), i % lanes);
  run_together(runs, std::move(denoiser), running);

  const std::span all(runs);
  check_references(all.subspan(contended, lanes));
  check_references(all.subspan(contended + lanes));
  const RaceJudge judge(all.subspan(contended, lanes), all.subspan(contended + lanes), decode, running.keep_pictures);
  RaceResult result;
  for (size_t lane = 0; lane < lanes; ++lane) {
    result.reference_errors.push_back(judge.reference_error(lane));
    result.reference_pictures.push_back(judge.reference_picture(lane));
  }
  for (size_t i = 0; i < contended; ++i) result.runs.push_back(judge.judged(runs[i], i / lanes, i % lanes));
  return result;
}

Standings standings_of(const Race& race, const RaceResult& result) {
  std::vector<Distance> errors;
  for (const auto& error : result.reference_errors) {
    if (error) errors.push_back(*error);
  }
  Standings standings{{}, spread_over(errors, &Distance::latents), spread_over(errors, &Distance::picture)};
  for (size_t contender = 0; contender < race.contenders.size(); ++contender)
    standings.contenders.push_back(standing_of(contender, result, standings.reference_latents.mean));
  return standings;
}

std::vector<NearFrom> near_from(const Race& race, const Standings& standings, double levels) {
  std::vector<std::pair<NearFrom, double>> found;  // with the distance there
  // The race has a sampler's contenders by rising calls.
  for (const Standing& standing : standings.contenders) {
    const Contender& contender = race.contenders[standing.contender];
    if (sampler_named(contender.sampler).draws_noise()) continue;
    auto known = std::find_if(found.begin(), found.end(),
                              [&](const auto& one) { return one.first.sampler == contender.sampler; });
    if (known == found.end()) known = found.insert(found.end(), {{contender.sampler, {}}, 0});
    const bool is_near = standing.failed == 0 && standing.picture.mean <= levels;
    if (is_near && known->first.calls) continue;
    *known = {{contender.sampler, is_near ? std::optional(calls_of(contender, standing)) : std::nullopt},
              standing.picture.mean};
  }
  const auto place = [](const auto& one) {
    return std::pair(one.first.calls.value_or(std::numeric_limits<double>::infinity()), one.second);
  };
  std::stable_sort(found.begin(), found.end(), [&](const auto& a, const auto& b) { return place(a) < place(b); });
  std::vector<NearFrom> near;
  for (const auto& [one, distance] : found) near.push_back(one);
  return near;
}

}  // namespace steplapse
