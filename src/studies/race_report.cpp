#include "studies/race_report.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <tuple>

#include "base/number_text.h"
#include "base/text.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

bool is_stochastic(const Contender& contender) { return sampler_named(contender.sampler).draws_noise(); }

// ---- the table --------------------------------------------------------------------------------------------------------

constexpr int kNameWidth = 20, kCallsWidth = 6, kSecondsWidth = 8, kLatentsWidth = 11, kDistanceWidth = 9;

/// A count: an integer, or to one decimal place where it is a mean.
std::string count_text(double number) { return rounded_text(std::round(10 * number) / 10, 7); }

std::string seeds_text(const Race& race) {
  std::vector<uint64_t> seeds;
  for (const RaceLane& lane : race.lanes) {
    if (std::find(seeds.begin(), seeds.end(), lane.recipe.seed) == seeds.end()) seeds.push_back(lane.recipe.seed);
  }
  const std::string prompts = counted(static_cast<int64_t>(race.lanes.size() / seeds.size()), "prompt");
  if (seeds.size() == 1) return prompts + ", seed " + std::to_string(seeds.front());
  return prompts + " x " + std::to_string(seeds.size()) + " seeds from " + std::to_string(seeds.front());
}

std::string setting_line(const RaceReport& report) {
  const Plan& plan = report.plan;
  std::ostringstream text;
  text << seeds_text(report.race) << " on " << escaped(report.manifest.name) << ' ' << plan.width << 'x' << plan.height
       << ", schedule " << plan.schedule << ", guidance scale " << plan.recipe.guidance.scale;
  return text.str();
}

std::string reference_line(const RaceReport& report) {
  const Contender& reference = report.race.reference;
  const Standings& standings = report.standings;
  std::ostringstream text;
  text << "Reference: " << reference.sampler << ", " << counted(reference.calls_total, "call") << " in "
       << counted(reference.schedule.steps(), "step") << ". Its own error: latents "
       << rounded_text(standings.reference_latents.mean, 3) << ", picture "
       << rounded_text(standings.reference_picture.mean, 3) << ", which is its distance to itself with "
       << counted(report.race.doubled.calls_total, "call") << ".";
  return text.str();
}

class RaceTable {
 public:
  RaceTable(const RaceReport& report, size_t columns) : report_(report), columns_(columns) { out_ << std::left; }

  std::string text() {
    out_ << folded(setting_line(report_)) << folded(reference_line(report_)) << '\n';
    heading();
    std::vector<std::optional<int64_t>> budgets;  // in the race's order; none, for adaptive samplers, is last
    for (const Contender& contender : report_.race.contenders) {
      if (std::find(budgets.begin(), budgets.end(), contender.call_budget) == budgets.end())
        budgets.push_back(contender.call_budget);
    }
    for (const auto& call_budget : budgets) block(call_budget);
    notes();
    out_ << '\n' << folded(race_answer(report_));
    return out_.str();
  }

 private:
  void heading() {
    cell("sampler", kNameWidth);
    right("steps", kCallsWidth);
    right("calls", kCallsWidth);
    right("seconds", kSecondsWidth);
    right("latents", kLatentsWidth);
    for (const char* name : {"spread", "picture", "spread"}) right(name, kDistanceWidth);
    out_ << '\n';
  }

  /// The contenders of one budget, the best first. Stochastic ones end elsewhere on purpose, so they come last.
  void block(std::optional<int64_t> call_budget) {
    out_ << (call_budget ? "-- at most " + counted(*call_budget, "call") + "\n" : "-- as many calls as it likes\n");
    std::vector<Standing> rows;
    for (const Standing& standing : report_.standings.contenders) {
      if (contender(standing).call_budget == call_budget) rows.push_back(standing);
    }
    std::stable_sort(rows.begin(), rows.end(), [&](const Standing& a, const Standing& b) {
      return std::tuple(is_stochastic(contender(a)), a.runs == 0, a.latents.mean) <
             std::tuple(is_stochastic(contender(b)), b.runs == 0, b.latents.mean);
    });
    for (const Standing& standing : rows) row(standing);
  }

  void row(const Standing& standing) {
    const bool stochastic = is_stochastic(contender(standing));
    any_stochastic_ |= stochastic;
    cell(contender(standing).sampler + (stochastic ? " ~" : ""), kNameWidth);
    if (standing.runs > 0) numbers(standing);
    if (standing.failed > 0) failures(standing);
    out_ << '\n';
  }

  void numbers(const Standing& standing) {
    any_too_near_ |= !standing.distinguishable;
    right(count_text(standing.steps), kCallsWidth);
    right(count_text(standing.calls_total), kCallsWidth);
    right(rounded_text(standing.network_seconds, 3), kSecondsWidth);
    right((standing.distinguishable ? "" : "= ") + rounded_text(standing.latents.mean, 3), kLatentsWidth);
    right(standing.latents.deviation ? rounded_text(*standing.latents.deviation, 2) : "-", kDistanceWidth);
    right(rounded_text(standing.picture.mean, 3), kDistanceWidth);
    right(standing.picture.deviation ? rounded_text(*standing.picture.deviation, 2) : "-", kDistanceWidth);
  }

  /// In place of the numbers, or below them where some of the runs ended well. Each reason stands once.
  void failures(const Standing& standing) {
    std::map<std::string, int64_t> reasons;
    for (const RaceRun& run : report_.result.runs) {
      if (run.contender == standing.contender && run.failed()) ++reasons[run.failure];
    }
    const auto of = static_cast<int64_t>(standing.runs + standing.failed);
    std::vector<std::string> texts;
    for (const auto& [reason, times] : reasons)
      texts.push_back((of == 1 ? "failed: " : std::to_string(times) + " of " + std::to_string(of) + " failed: ") +
                      reason);
    if (standing.runs > 0) out_ << '\n' << std::string(kNameWidth, ' ');
    out_ << wrapped(joined(texts, "; "), columns_, kNameWidth, kNameWidth);
  }

  void notes() {
    const size_t lanes = report_.race.lanes.size();
    out_ << '\n'
         << folded(
                "seconds: of the network; runs that share a call share its time. latents: root mean square of the "
                "difference between the final latents and the reference's, over that of the reference's themselves. "
                "picture: root mean square of the difference of pixels, 0 to 255. " +
                (lanes > 1 ? "Means of " + std::to_string(lanes) + " runs; spread is the standard deviation among them."
                           : std::string("One run each: more `seed` or prompts give a spread.")));
    if (any_too_near_) {
      out_ << folded("= less than " + rounded_text(kDistinguishable, 2) +
                     " times the reference's own error: can't be told apart from the reference, "
                     "nor from others with this mark; a `reference` of more calls can.");
    }
    if (any_stochastic_) {
      out_ << folded(
          "~ draws fresh noise and ends elsewhere on purpose, at another picture of the same prompt: its distance says "
          "how "
          "different, not how good.");
    }
  }

  const Contender& contender(const Standing& standing) const { return report_.race.contenders[standing.contender]; }
  std::string folded(const std::string& text) const { return wrapped(text, columns_) + '\n'; }
  void cell(const std::string& text, int width) { out_ << std::setw(width) << text; }
  void right(const std::string& text, int width) { out_ << std::right << std::setw(width) << text << std::left; }

  const RaceReport& report_;
  const size_t columns_;
  std::ostringstream out_;
  bool any_stochastic_ = false, any_too_near_ = false;
};

// ---- for programs -----------------------------------------------------------------------------------------------------

ordered_json spread_json(const Spread& spread) {
  return {{"mean", spread.mean}, {"deviation", spread.deviation ? ordered_json(*spread.deviation) : ordered_json()}};
}

ordered_json calls_json(const Contender& contender) {
  return contender.call_budget ? ordered_json(*contender.call_budget) : ordered_json();
}

const char* status_of(const RaceRun& run) { return run.failed() ? "failed" : "done"; }

ordered_json run_json(const RaceRun& run) {
  ordered_json json{{"lane", run.lane},
                    {"denoiser_calls", run.calls_total},
                    {"steps", run.steps},
                    {"network_seconds", run.network_seconds},
                    {"status", status_of(run)}};
  if (run.failed()) {
    json["reason"] = run.failure;
  } else {
    json["latents_distance"] = run.distance.latents;
    json["picture_distance"] = run.distance.picture;
  }
  return json;
}

/// The means of a contender whose runs all failed are null.
ordered_json contender_json(const RaceReport& report, const Standing& standing) {
  const Contender& contender = report.race.contenders[standing.contender];
  const auto of_done = [&](const ordered_json& value) { return standing.runs > 0 ? value : ordered_json(); };
  ordered_json runs = ordered_json::array();
  for (const RaceRun& run : report.result.runs) {
    if (run.contender == standing.contender) runs.push_back(run_json(run));
  }
  return {{"sampler", contender.sampler},
          {"stochastic", is_stochastic(contender)},
          {"calls", calls_json(contender)},
          {"failed", standing.failed},
          {"denoiser_calls", of_done(standing.calls_total)},
          {"steps", of_done(standing.steps)},
          {"network_seconds", of_done(standing.network_seconds)},
          {"latents_distance", of_done(spread_json(standing.latents))},
          {"picture_distance", of_done(spread_json(standing.picture))},
          {"distinguishable", of_done(standing.distinguishable)},
          {"runs", runs}};
}

ordered_json lanes_json(const RaceReport& report) {
  ordered_json lanes = ordered_json::array();
  for (size_t i = 0; i < report.race.lanes.size(); ++i) {
    const RaceLane& lane = report.race.lanes[i];
    const auto& error = report.result.reference_errors[i];
    lanes.push_back({{"prompt", lane.prompt},
                     {"seed", lane.recipe.seed},
                     {"reference_latents_error", error ? ordered_json(error->latents) : ordered_json()},
                     {"reference_picture_error", error ? ordered_json(error->picture) : ordered_json()}});
  }
  return lanes;
}

// ---- the answer -------------------------------------------------------------------------------------------------------

ordered_json near_json(const RaceReport& report) {
  ordered_json samplers = ordered_json::array();
  for (const NearFrom& near : near_from(report.race, report.standings, report.within))
    samplers.push_back({{"sampler", near.sampler}, {"from_calls", near.calls ? ordered_json(*near.calls) : nullptr}});
  return {{"levels", report.within}, {"samplers", samplers}};
}

/// "within 1 level of 255".
std::string within_text(double levels) {
  return "within " + rounded_text(levels, 6) + (levels == 1 ? " level" : " levels") + " of 255";
}

/// "unipc from 10 calls". @param first  only the first says what is counted
std::string near_text(const Race& race, const NearFrom& near, bool first) {
  const auto is_its = [&](const Contender& contender) { return contender.sampler == near.sampler; };
  const auto contender = std::find_if(race.contenders.begin(), race.contenders.end(), is_its);
  return near.sampler + (contender->call_budget ? " from " : " with ") + count_text(*near.calls) +
         (!first             ? ""
          : *near.calls == 1 ? " call"
                             : " calls");
}

}  // namespace

std::string race_answer(const RaceReport& report) {
  const std::string within = within_text(report.within);
  const double least = kDistinguishable * report.standings.reference_picture.mean;
  if (report.within < least)
    return within + ": can't be told, that is less than " + rounded_text(kDistinguishable, 2) +
           " times the reference's own error; a `reference` of more calls can";
  std::vector<std::string> near, others;
  for (const NearFrom& sampler : near_from(report.race, report.standings, report.within)) {
    if (sampler.calls)
      near.push_back(near_text(report.race, sampler, near.empty()));
    else
      others.push_back(sampler.sampler);
  }
  if (near.empty() && others.empty()) return within + ": no deterministic sampler took part";
  if (near.empty()) return within + ": none of " + joined(others, ", ");
  return within + ": " + joined(near, ", ") + (others.empty() ? "" : "; not " + joined(others, ", "));
}

std::string race_table(const RaceReport& report, size_t columns) { return RaceTable(report, columns).text(); }

std::string race_csv(const RaceReport& report) {
  const Race& race = report.race;
  std::ostringstream out;
  out << "sampler,stochastic,calls,denoiser_calls,steps,network_seconds,prompt,seed,latents_distance,picture_distance,"
         "reference_sampler,reference_calls,reference_latents_error,reference_picture_error,status,reason\n";
  for (const RaceRun& run : report.result.runs) {
    const Contender& contender = race.contenders[run.contender];
    const RaceLane& lane = race.lanes[run.lane];
    const auto& error = report.result.reference_errors[run.lane];
    const auto of_done = [&](double distance) { return run.failed() ? "" : exact_text(distance); };
    out << contender.sampler << ',' << is_stochastic(contender) << ','
        << (contender.call_budget ? std::to_string(*contender.call_budget) : "") << ',' << run.calls_total << ','
        << run.steps << ',' << exact_text(run.network_seconds) << ',' << csv_text(lane.prompt) << ','
        << lane.recipe.seed << ',' << of_done(run.distance.latents) << ',' << of_done(run.distance.picture) << ','
        << race.reference.sampler << ',' << race.reference.calls_total << ','
        << (error ? exact_text(error->latents) : "") << ',' << (error ? exact_text(error->picture) : "") << ','
        << status_of(run) << ',' << (run.failed() ? csv_text(run.failure) : "") << '\n';
  }
  return out.str();
}

std::string race_json(const RaceReport& report) {
  const Race& race = report.race;
  const Plan& plan = report.plan;
  ordered_json contenders = ordered_json::array();
  for (const Standing& standing : report.standings.contenders) contenders.push_back(contender_json(report, standing));
  const ordered_json json{{"model", report.manifest.name},
                          {"width", plan.width},
                          {"height", plan.height},
                          {"schedule", plan.schedule},
                          {"guidance_scale", plan.recipe.guidance.scale},
                          {"rng", name_of(plan.recipe.rng)},
                          {"reference",
                           {{"sampler", race.reference.sampler},
                            {"calls", calls_json(race.reference)},
                            {"denoiser_calls", race.reference.calls_total},
                            {"steps", race.reference.schedule.steps()},
                            {"doubled_denoiser_calls", race.doubled.calls_total},
                            {"latents_error", spread_json(report.standings.reference_latents)},
                            {"picture_error", spread_json(report.standings.reference_picture)}}},
                          {"lanes", lanes_json(report)},
                          {"contenders", contenders},
                          {"within", near_json(report)}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Plot race_plot(const RaceReport& report) {
  const Race& race = report.race;
  Plot plot{.title = setting_line(report),
            .x = {"denoiser calls", true},
            .y = {"latents: distance to " + race.reference.sampler + ", " + counted(race.reference.calls_total, "call"),
                  true},
            .series = {}};
  double first = std::numeric_limits<double>::infinity(), last = 0;
  for (const Standing& standing : report.standings.contenders) {
    if (standing.runs == 0) continue;
    const Contender& contender = race.contenders[standing.contender];
    auto series = std::find_if(plot.series.begin(), plot.series.end(),
                               [&](const Plot::Series& known) { return known.name == contender.sampler; });
    if (series == plot.series.end()) {
      series =
          plot.series.insert(series, {.name = contender.sampler, .x = {}, .y = {}, .dashed = is_stochastic(contender)});
    }
    series->x.push_back(standing.calls_total);
    series->y.push_back(standing.latents.mean);
    series->spread.push_back(standing.latents.deviation.value_or(0));
    const double x = contender.call_budget ? static_cast<double>(*contender.call_budget) : standing.calls_total;
    first = std::min(first, x);
    last = std::max(last, x);
    if (contender.call_budget && (plot.x.ticks.empty() || plot.x.ticks.back() < x)) plot.x.ticks.push_back(x);
  }
  const double least = kDistinguishable * report.standings.reference_latents.mean;
  plot.series.push_back(
      {.name = "below: not told apart", .x = {first, last}, .y = {least, least}, .dashed = true, .guide = true});
  return plot;
}

}  // namespace steplapse
