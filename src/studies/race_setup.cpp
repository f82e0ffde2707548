#include "studies/race_setup.h"

#include <algorithm>
#include <iostream>
#include <limits>
#include <stdexcept>

#include "base/file_io.h"
#include "base/machine.h"
#include "base/signals.h"
#include "base/standard_streams.h"
#include "base/terminal.h"
#include "base/text.h"
#include "base/warnings.h"
#include "base/wording.h"
#include "model/bundle_folder.h"
#include "plan/plan_levels.h"
#include "plan/presets.h"
#include "runs/batch_memory.h"
#include "runs/step_cost.h"
#include "steplapse/bundle.h"
#include "steplapse/error.h"
#include "studies/race_progress.h"
#include "studies/race_record.h"
#include "studies/race_report.h"

namespace steplapse {
namespace {

// ---- who races --------------------------------------------------------------------------------------------------------

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

/// Makes the contenders and references of a race.
class RaceBuilder {
 public:
  RaceBuilder(const Manifest& manifest, const RaceOptions& options)
      : options_(options),
        planned_(planned_rule(manifest, options.settings, {.sampler = kRaceReference, .end = RunEnd::zero})) {
    warnings_ = planned_.warnings;
    with_place("`schedule` " + schedule() + ": ", [&] { return levels(1); });
  }

  Race race() {
    Race race;
    add_reference(race);
    add_contenders(race);
    try {
      check_start(race);
    } catch (const std::invalid_argument& error) {
      throw UsageError("`schedule` " + schedule() + ": " + error.what() +
                       "; a race needs one start for all, as karras, normal or trailing have");
    }
    return race;
  }

  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::string schedule() const { return std::string(planned_.rule.name); }

  Schedule levels(int64_t steps) {
    planned_.request.steps = steps;
    return make_schedule(planned_.noise, planned_.rule, planned_.request);
  }

  Contender within(const Sampler& sampler, int64_t calls) {
    return contender_within(sampler, calls, [this](int64_t steps) { return levels(steps); });
  }

  /// The sampler of a name. From another tool's name only the sampler is taken, not the tool's schedule or eta.
  const Sampler& sampler_of(const std::string& name) {
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

  void add_contenders(Race& race) {
    std::vector<std::pair<std::string, const Sampler*>> known;
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
    for (const int64_t calls : options_.calls) {
      for (const auto& [name, sampler] : known) {
        if (sampler->adaptive) continue;
        race.contenders.push_back(
            with_place("`calls` " + std::to_string(calls) + ": " + std::string(sampler->name) + " ",
                       [&, &sampler = *sampler] { return within(sampler, calls); }));
      }
    }
    for (const auto& [name, sampler] : known) {  // an adaptive sampler uses only the ends of the schedule
      if (!sampler->adaptive) continue;
      race.contenders.push_back({.sampler = std::string(sampler->name),
                                 .options = {.eta = sampler->eta.value_or(0)},
                                 .schedule = race.reference.schedule});
    }
  }

  void add_reference(Race& race) {
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
      race.doubled =
          with_place(place + ", doubled to know its own error: ", [&] { return within(sampler, 2 * *calls); });
    } else {
      add_far_reference(race, sampler);
    }
  }

  /// A reference of 4, 2 or 1 times the largest call budget of the race, as far as the schedule has levels for it.
  void add_far_reference(Race& race, const Sampler& sampler) {
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

  const RaceOptions& options_;
  PlannedRule planned_;
  std::vector<std::string> warnings_;
};

// ---- where they race --------------------------------------------------------------------------------------------------

/// A plan for each prompt and seed, with the reference's sampler and steps.
std::vector<Plan> plan_lanes(const Manifest& manifest, const RaceOptions& options, const Contender& reference) {
  Settings settings = options.settings;
  settings.sampler = reference.sampler;
  settings.steps = reference.schedule.steps();
  std::vector<Plan> plans;
  for (const std::string& prompt : options.prompts) {
    for (const uint64_t seed : options.seeds) {
      settings.prompt = prompt;
      settings.seed = seed;
      plans.push_back(make_plan(manifest, settings));
    }
  }
  return plans;
}

void warn_of_unknown_words(const BundleFolder& folder, const std::vector<Plan>& plans, Warnings& warnings) {
  if (!folder.manifest().prompts) return;
  for (const Plan& plan : plans) warnings.add(unknown_warnings(folder.taught_prompts(), plan.prompts));
}

std::vector<RaceLane> lanes_of(const Bundle& bundle, const std::vector<Plan>& plans, Warnings& warnings) {
  std::vector<RaceLane> lanes;
  for (const Plan& plan : plans) {
    if (lanes.empty() || lanes.back().prompt != plan.prompt) {
      EncodedPrompts encoded = encode_prompts(bundle, plan.prompts);
      warnings.add(encoded.warnings);
      encoded.guidance.rule = plan.recipe.guidance;
      lanes.push_back({plan.prompt, plan.recipe, std::move(encoded.guidance)});
    } else {
      lanes.push_back({plan.prompt, plan.recipe, lanes.back().guidance});
    }
  }
  return lanes;
}

// ---- the race ---------------------------------------------------------------------------------------------------------

void check_files(const RaceOptions& options) {
  if (!options.plot.empty()) check_plot_name(options.plot);
  if (!options.csv.empty() && options.csv == options.plot) {
    throw UsageError("`csv` and `plot` both name " + options.csv.string() + "; expected two files");
  }
  for (const auto& path : {options.csv, options.plot}) {
    if (!path.empty()) check_writable(path, options.overwrite);
  }
}

void stop_for_signal() {
  if (noted_signal() != 0) throw std::runtime_error("interrupted");
}

RaceResult run_on(const Bundle& bundle, const Race& race, std::optional<int64_t> max_batch, RaceProgress& progress,
                  RaceObserver* observer) {
  const RaceLane& lane = race.lanes.front();
  int64_t answers = 0;
  const int64_t of = calls_in(race);
  return run_race(
      race,
      [&](const auto&... question) {
        stop_for_signal();
        return bundle.denoise(question...);
      },
      [&](const Tensor& latents) {
        stop_for_signal();
        return bundle.decode("full", latents);
      },
      max_batch ? *max_batch : batch_that_fits(bundle, lane.recipe, lane.guidance),
      [&] { progress.answered(++answers, of); }, observer);
}

void say_interrupted(RaceProgress& progress, const std::filesystem::path& out) {
  progress.done();
  std::cerr << "steplapse: interrupted; "
            << (out.empty() ? "nothing is shown or written"
                            : "nothing is shown; the runs are in " + out.string() + " as far as they came")
            << std::endl;
}

/// The doubled reference's run is not kept.
int64_t kept_runs(const Race& race, size_t lanes) { return static_cast<int64_t>((race.contenders.size() + 1) * lanes); }

/// @throws OutputError  something is there already
/// @throws UsageError   the race has too many runs to keep
void check_out(const RaceOptions& options, int64_t runs) {
  if (runs > RaceRecord::kMostRuns)
    throw UsageError("`out`: the race has " + std::to_string(runs) + " runs, and at most " +
                     std::to_string(RaceRecord::kMostRuns) + " are kept; fewer `samplers`, `calls` or seeds will do");
  std::error_code unreadable;
  if (std::filesystem::exists(options.out, unreadable) && !options.overwrite &&
      !std::filesystem::is_empty(options.out, unreadable))
    throw OutputError(options.out.string() +
                      ": is there already; name another `out`, or `overwrite` to replace its runs");
}

int race_reporting(const RaceOptions& options, RaceProgress& progress) {
  check_files(options);
  BundleFolder folder(options.running.model);
  const Manifest manifest = folder.manifest();
  RaceOptions asked = options;
  if (!asked.settings.schedule) {
    asked.settings.schedule = manifest.training_noise.is_flow() ? kFlowRaceSchedule : kRaceSchedule;
  }
  RaceBuilder builder(manifest, asked);
  Race race = builder.race();
  const std::vector<Plan> plans = plan_lanes(manifest, asked, race.reference);
  if (!options.out.empty()) check_out(options, kept_runs(race, plans.size()));
  // All is known to be right only now: where something is wrong, one line says so, without warnings before it.
  Warnings warnings([&](const std::string& text) { progress.warning(text); });
  warnings.add(builder.warnings());
  for (const Plan& plan : plans) warnings.add(plan.warnings);
  warn_of_unknown_words(folder, plans, warnings);

  set_threads(options.running.threads);
  std::optional<SignalWatch> watch(std::in_place, [&](int) { say_interrupted(progress, options.out); });
  const Bundle bundle = load_bundle(std::move(folder), options.running.device, {});
  race.lanes = lanes_of(bundle, plans, warnings);

  warnings.add(check_cost(bundle, plans.front(), race.lanes.front().guidance));

  watch->give(options.running.grace);
  RaceResult result;
  try {
    std::optional<RaceRecord> record;
    if (!options.out.empty())
      record.emplace(bundle, plans, options, kept_runs(race, plans.size()),
                     [&](const std::string& text) { progress.warning(text); });
    result = run_on(bundle, race, options.running.max_batch, progress, record ? &*record : nullptr);
  } catch (const std::exception&) {
    if (noted_signal() == 0) throw;
    watch.reset();
    say_interrupted(progress, options.out);
    return exit_code_of_signal(noted_signal());
  }
  watch.reset();
  progress.done();

  const RaceReport report{manifest, plans.front(), race, result, standings_of(race, result)};
  std::cout << (options.json ? race_json(report) : worded(race_table(report, output_columns())))
            << std::flush;  // before the files: a disk may be full
  if (!options.csv.empty()) write_whole(options.csv, race_csv(report));
  if (!options.plot.empty()) write_plots(options.plot, {race_plot(report)});
  return 0;
}

}  // namespace

int race(const RaceOptions& options) {
  const auto progress = make_race_progress(options.running.progress);
  const auto say_on_output = [&](const std::string& text) {
    if (!options.json) std::cout << "steplapse: warning: " << text << std::endl;
  };
  try {
    const int code = race_reporting(options, *progress);
    say_which_reader_left(say_on_output);
    return code;
  } catch (const std::exception& error) {
    progress->failed(failure_of(error));
    say_which_reader_left(say_on_output);
    throw;
  }
}

}  // namespace steplapse
