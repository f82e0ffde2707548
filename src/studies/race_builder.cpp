#include "studies/race_builder.h"

#include <algorithm>
#include <stdexcept>

#include "base/text.h"
#include "plan/presets.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

/// Runs `make` and turns its std::invalid_argument into a UsageError that begins with `place`.
template <typename Make>
auto with_place(const std::string& place, Make make) {
  try {
    return make();
  } catch (const std::invalid_argument& error) {
    throw UsageError(place + error.what());
  }
}

std::string deterministic_samplers() {
  std::vector<std::string> names;
  for (const Sampler& sampler : samplers()) {
    if (!sampler.draws_noise() && !sampler.adaptive) names.emplace_back(sampler.name);
  }
  return joined(names, ", ");
}

/// They take an answer for a sample, which an ordinary network's, a mean, is not.
bool is_for_distilled(const Sampler& sampler) { return sampler.name == "lcm" || sampler.name == "tcd"; }

}  // namespace

RaceBuilder::RaceBuilder(const Manifest& manifest, const RaceOptions& options)
    : manifest_(manifest),
      options_(options),
      planned_(planned_rule(manifest, options.settings, {.sampler = kRaceReference, .end = RunEnd::zero})) {
  warnings_ = planned_.warnings;
  with_place("`schedule` " + schedule() + ": ", [&] { return levels(1); });
}

Race RaceBuilder::race() {
  Race race;
  add_reference(race);
  add_contenders(race);
  try {
    check_start(race);
  } catch (const std::invalid_argument& error) {
    throw UsageError("`schedule` " + schedule() + ": " + error.what() +
                     "; a race needs one start for all, as karras, normal or trailing have");
  }
  if (!left_out_.empty()) warnings_.push_back("left out of `samplers` all: " + joined(left_out_, "; "));
  return race;
}

Schedule RaceBuilder::levels(int64_t steps) {
  planned_.request.steps = steps;
  return make_schedule(planned_.noise, planned_.rule, planned_.request);
}

Contender RaceBuilder::within(const Sampler& sampler, int64_t calls) {
  return contender_within(sampler, calls, [this](int64_t steps) { return levels(steps); });
}

/// The sampler of a name. From another tool's name only the sampler is taken, not the tool's schedule or eta.
const Sampler& RaceBuilder::sampler_of(const std::string& name) {
  const Preset preset = planned_preset(name, warnings_);
  if (preset.drops_penultimate || (preset.schedule && *preset.schedule != schedule())) {
    warnings_.push_back(name + " races as " + preset.sampler + " on `schedule` " + schedule() +
                        ", not on its tool's own levels");
  }
  if (preset.eta) {
    warnings_.push_back(name + " races with the eta of " + preset.sampler + ", not with its tool's own");
  }
  return sampler_named(preset.sampler);
}

std::vector<RaceBuilder::Named> RaceBuilder::named_samplers() {
  std::vector<Named> known;
  for (const std::string& name : options_.samplers) {
    const Sampler& sampler = sampler_of(name);
    for (const auto& [other, same] : known) {
      if (same != &sampler) continue;
      throw UsageError("`samplers`: " + (name == other ? in_quotes(name) + " is given twice"
                                                       : in_quotes(other) + " and " + in_quotes(name) +
                                                             " are the same, " + std::string(sampler.name)));
    }
    known.emplace_back(name, &sampler);
  }
  return known;
}

/// All but those for networks that were distilled, unless this is one.
std::vector<RaceBuilder::Named> RaceBuilder::all_samplers() {
  const bool is_distilled = is_for_distilled(sampler_named(manifest_.defaults.sampler));
  std::vector<Named> all;
  for (const Sampler& sampler : samplers()) {
    if (is_distilled || !is_for_distilled(sampler)) all.emplace_back(sampler.name, &sampler);
  }
  if (!is_distilled) left_out_.push_back("lcm and tcd, which are for networks that were distilled");
  return all;
}

void RaceBuilder::add_contenders(Race& race) {
  const std::vector<Named> known = options_.all_samplers ? all_samplers() : named_samplers();
  for (const int64_t calls : options_.calls) {
    for (const auto& [name, sampler] : known) {
      if (!sampler->adaptive) add_within(race, *sampler, calls);
    }
  }
  for (const auto& [name, sampler] : known) {
    if (sampler->adaptive) add_adaptive(race, *sampler);
  }
  if (race.contenders.empty()) throw UsageError("`samplers` all: none can race; left out: " + joined(left_out_, "; "));
}

/// It uses only the ends of the schedule.
void RaceBuilder::add_adaptive(Race& race, const Sampler& sampler) const {
  race.contenders.push_back({.sampler = std::string(sampler.name),
                             .options = {.eta = sampler.eta.value_or(0)},
                             .schedule = race.reference.schedule});
}

/// A sampler that was not named is left out where it can't race.
void RaceBuilder::add_within(Race& race, const Sampler& sampler, int64_t calls) {
  const std::string name(sampler.name);
  try {
    race.contenders.push_back(within(sampler, calls));
  } catch (const std::invalid_argument& error) {
    const std::string reason = name + " " + error.what();
    if (!options_.all_samplers) throw UsageError("`calls` " + std::to_string(calls) + ": " + reason);
    left_out_.push_back(reason + ", with `calls` " + std::to_string(calls));
  }
}

void RaceBuilder::add_reference(Race& race) {
  const std::string name = options_.reference ? options_.reference->sampler : kRaceReference;
  const Sampler& sampler = sampler_of(name);
  if (sampler.draws_noise() || sampler.adaptive) {
    throw UsageError(
        "`reference` " + in_quotes(name) + ": " +
        (sampler.adaptive ? "has no number of calls to double" : "draws fresh noise, and ends elsewhere each time") +
        "; expected one of: " + deterministic_samplers());
  }
  const auto calls = options_.reference ? options_.reference->calls : std::nullopt;
  if (calls) {
    const std::string place = "`reference` " + name + ":" + std::to_string(*calls);
    race.reference = with_place(place + ": ", [&] { return within(sampler, *calls); });
    race.doubled = with_place(place + ", doubled to know its own error: ", [&] { return within(sampler, 2 * *calls); });
  } else {
    add_far_reference(race, sampler);
  }
}

/// A reference of 4, 2 or 1 times the largest call budget of the race, as far as the schedule has levels for it.
void RaceBuilder::add_far_reference(Race& race, const Sampler& sampler) {
  for (const int64_t times : {4, 2, 1}) {
    try {
      race.reference = within(sampler, times * options_.calls.back());
      race.doubled = within(sampler, 2 * times * options_.calls.back());
      return;
    } catch (const std::invalid_argument&) {
    }
  }
  throw UsageError("`calls` " + std::to_string(options_.calls.back()) + ": `schedule` " + schedule() +
                   " has too few levels for " + std::string(sampler.name) +
                   " to be a reference of twice as many; name another with `reference` SAMPLER:CALLS");
}

}  // namespace steplapse
