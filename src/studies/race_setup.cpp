#include "studies/race_setup.h"

#include <algorithm>
#include <iostream>
#include <limits>
#include <stdexcept>

#include "base/confinement.h"
#include "base/file_io.h"
#include "base/machine.h"
#include "base/signals.h"
#include "base/standard_streams.h"
#include "base/terminal.h"
#include "base/text.h"
#include "base/warnings.h"
#include "base/wording.h"
#include "model/bundle_folder.h"
#include "runs/batch_memory.h"
#include "runs/step_cost.h"
#include "steplapse/bundle.h"
#include "steplapse/error.h"
#include "studies/race_builder.h"
#include "studies/race_progress.h"
#include "studies/race_record.h"
#include "studies/race_report.h"
#include "studies/race_strip.h"

namespace steplapse {
namespace {

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
  if (!options.strip.empty()) check_strip_name(options.strip);
  const std::pair<const char*, const std::filesystem::path*> files[] = {
      {"csv", &options.csv}, {"plot", &options.plot}, {"strip", &options.strip}};
  for (size_t i = 0; i < std::size(files); ++i) {
    const auto& [name, path] = files[i];
    if (path->empty()) continue;
    for (size_t j = 0; j < i; ++j) {
      if (*files[j].second != *path) continue;
      throw UsageError("`" + std::string(files[j].first) + "` and `" + name + "` both name " + path->string() +
                       "; expected two files");
    }
    check_writable(*path, options.overwrite);
  }
}

void stop_for_signal() {
  if (noted_signal() != 0) throw RaceInterrupted();
}

RaceResult run_on(const Bundle& bundle, const Race& race, const RaceOptions& options, RaceProgress& progress,
                  RaceObserver* observer) {
  const RaceLane& lane = race.lanes.front();
  int64_t answers = 0;
  const int64_t of = calls_in(race);
  const auto& most = options.running.max_batch;
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
      {.max_batch = most ? *most : batch_that_fits(bundle, lane.recipe, lane.guidance),
       .called = [&] { progress.answered(++answers, of); },
       .observer = observer,
       .keep_pictures = !options.strip.empty()});
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

bool has_ended_runs(const RaceResult& result) {
  return std::any_of(result.runs.begin(), result.runs.end(), [](const RaceRun& run) { return !run.failed(); });
}

/// On stdout first: a disk may be full.
void show(const RaceOptions& options, const RaceReport& report) {
  std::cout << (options.json ? race_json(report) : worded(race_table(report, output_columns()))) << std::flush;
  if (!options.csv.empty()) write_whole(options.csv, race_csv(report));
  if (!options.plot.empty() && has_ended_runs(report.result)) write_plots(options.plot, {race_plot(report)});
  if (!options.strip.empty()) write_whole(options.strip, race_strip(report));
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
  if (!options.out.empty()) {
    check_out(options, kept_runs(race, plans.size()));
    confinement_writes(options.out);
  }
  if (!options.strip.empty()) check_strip(race, plans);
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
    result = run_on(bundle, race, options, progress, record ? &*record : nullptr);
  } catch (const std::exception&) {
    if (noted_signal() == 0) throw;
    watch.reset();
    say_interrupted(progress, options.out);
    return exit_code_of_signal(noted_signal());
  }
  watch.reset();
  progress.done();

  show(options, {manifest, plans.front(), race, result, standings_of(race, result), options.within});
  return result.failed() ? static_cast<int>(ExitCode::run_failed) : 0;
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
