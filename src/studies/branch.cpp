#include "studies/branch.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/confinement.h"
#include "base/file_io.h"
#include "base/text.h"
#include "record/history.h"
#include "record/run_folder.h"
#include "runs/batch.h"
#include "runs/run_model.h"
#include "steplapse/error.h"
#include "studies/branch_report.h"
#include "studies/comparison.h"
#include "views/picture_file.h"
#include "views/run_tables.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr double kSettled = 0.1;  // of the rms of a run's end

/// A run from its log.
struct BranchedRun {
  explicit BranchedRun(const fs::path& path)
      : folder(existing_run(path)),
        log(RunLog::open(log_in(folder))),
        facts(std::make_shared<const Facts>(log.facts())),
        history(history_of(log)) {}

  ComparedRun compared() const {
    ComparedRun run{{}, history.last_estimate()};
    for (const HistoryStep& step : history.steps)
      run.estimates.push_back({step.step.number, step.level(), step.step.x0});
    return run;
  }
  /// That it reached: levels[k] after step k.
  std::vector<NoiseLevel> levels() const {
    std::vector<NoiseLevel> reached{history.recipe.schedule.levels.front()};
    for (const HistoryStep& step : history.steps) reached.push_back(step.step.level);
    return reached;
  }

  fs::path folder;
  RunLog log;
  std::shared_ptr<const Facts> facts;
  History history;
};

// ---- where it may branch ----------------------------------------------------------------------------------------------

struct Range {
  int64_t first, last;
};

/// A run that is a branch itself has no steps of its own before. After the last step nothing is left to make.
Range points_of(const BranchedRun& run) {
  const auto made = static_cast<int64_t>(run.history.steps.size());
  const auto in_all = made_steps(run.facts->recipe);
  const bool is_whole = run.history.latents.defined() && (!in_all || made >= *in_all);
  return {std::max<int64_t>(1, run.facts->recipe.branched_after), is_whole ? made - 1 : made};
}

std::vector<int64_t> checked_points(const BranchedRun& run, std::vector<int64_t> at) {
  const auto [first, last] = points_of(run);
  if (first > last) throw UsageError(in_quotes(run.folder.string()) + ": has no step that a branch could begin after");
  if (at.empty()) {
    for (int64_t step = first; step <= last; ++step) at.push_back(step);
  }
  for (const int64_t step : at) {
    if (step >= first && step <= last) continue;
    throw UsageError("`at` " + std::to_string(step) + ": a branch of this run begins after a step of " +
                     std::to_string(first) + " to " + std::to_string(last) +
                     (first > 1 ? "; before that, branch from the run that it goes out from itself" : ""));
  }
  return at;
}

// ---- plans ------------------------------------------------------------------------------------------------------------

FreshNoise::Region in_latents(const std::array<int64_t, 4>& pixels, const Facts& facts, int64_t downscale) {
  const auto [x, y, width, height] = pixels;
  if (x < 0 || y < 0 || width < 1 || height < 1 || x + width > facts.width || y + height > facts.height) {
    throw UsageError("`region` " + std::to_string(x) + "," + std::to_string(y) + "," + std::to_string(width) + "," +
                     std::to_string(height) + ": expected X,Y,WIDTH,HEIGHT inside the picture of " +
                     std::to_string(facts.width) + "x" + std::to_string(facts.height));
  }
  const auto first = [&](int64_t from) { return from / downscale; };
  const auto size = [&](int64_t from, int64_t length) { return (from + length - 1) / downscale - first(from) + 1; };
  return {first(x), first(y), size(x, width), size(y, height)};
}

std::string folder_name(size_t number, int64_t at, const std::optional<double>& noise) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%04zu-at-%lld", number, static_cast<long long>(at));
  return digits + (noise ? "-noise-" + plain(*noise) : "");
}

/// A branch to make.
struct Branch {
  int64_t at;
  std::optional<double> noise;
  Task task;
};

class Planner {
 public:
  Planner(const BranchOptions& options, const BranchedRun& run, const Manifest& manifest)
      : options_(options), run_(run), manifest_(manifest), before_{run.facts, run.levels()} {}

  std::vector<Branch> all() const {
    std::vector<Branch> branches;
    for (const int64_t at : checked_points(run_, options_.at)) {
      if (options_.noise.empty()) branches.push_back(branch_at(at, {}));
      for (const double amount : options_.noise) branches.push_back(branch_at(at, amount));
    }
    return branches;
  }

 private:
  Branch branch_at(int64_t at, std::optional<double> amount) const {
    Plan plan = plan_branch(manifest_, before_, at, options_.changes);
    if (amount) plan.fresh_noise = fresh_noise(*amount);
    return {at,
            amount,
            {.plan = std::move(plan),
             .folder = {},
             .frames = options_.frames,
             .decoder = options_.decoder,
             .overwrite = options_.overwrite,
             .branch_of = run_.folder}};
  }

  FreshNoise fresh_noise(double amount) const {
    FreshNoise fresh{.amount = amount,
                     .keep_variance = options_.keep_variance,
                     .rng = run_.facts->recipe.rng,
                     .seed = options_.noise_seed.value_or(run_.facts->recipe.seed + 1)};
    if (options_.region) fresh.region = in_latents(*options_.region, *run_.facts, manifest_.downscale);
    return fresh;
  }

  const BranchOptions& options_;
  const BranchedRun& run_;
  const Manifest& manifest_;
  const RunBefore before_;
};

// ---- what became of them ----------------------------------------------------------------------------------------------

class Meter {
 public:
  explicit Meter(const BranchedRun& run) : run_(run), compared_(run.compared()), frames_(frames_of(run)) {}

  MeasuredBranch measured(const Branch& branch) const {
    const BranchedRun read(branch.task.folder);
    const Comparison comparison = compare_runs({read.compared(), compared_}, Alignment::sigma, kSettled);
    MeasuredBranch measured{.folder = read.folder,
                            .at = branch.at,
                            .noise = branch.noise,
                            .points = {},
                            .end_latents = comparison.ends.front(),
                            .end = difference(read.folder / "final.png", run_.folder / "final.png"),
                            .settles = comparison.settles[0],
                            .run_settles = comparison.settles[1]};
    const auto frames = frames_of(read);
    for (const Comparison::Point& point : comparison.points) {
      if (point.first.step > branch.at) measured.points.push_back(measured_point(read, frames, point));
    }
    return measured;
  }

 private:
  using Files = std::map<int64_t, std::string>;
  static Files frames_of(const BranchedRun& run) {
    return frame_files(nlohmann::json::parse(run.log.facts_json()), FrameKind::x0);
  }

  static std::optional<FrameChange> difference(const fs::path& one, const fs::path& other) {
    const auto a = picture_if_there(one), b = picture_if_there(other);
    if (!a || !b) return std::nullopt;
    return change_between(*a, *b, 0);
  }

  MeasuredBranch::Point measured_point(const BranchedRun& branch, const Files& frames,
                                       const Comparison::Point& point) const {
    MeasuredBranch::Point measured{point.first.step, noise_ratio(point.first.level), {}, {}};
    const Comparison::Other& other = point.others.front();
    if (!other.at) return measured;
    measured.latents = other.distance;
    const auto own = frames.find(point.first.step), runs = frames_.find(static_cast<int64_t>(other.at->step));
    if (other.at->is_interpolated || own == frames.end() || runs == frames_.end()) return measured;
    if (const auto change = difference(branch.folder / own->second, run_.folder / runs->second))
      measured.pixels = change->mean_abs;
    return measured;
  }

  const BranchedRun& run_;
  const ComparedRun compared_;
  const Files frames_;
};

// ---- all of it --------------------------------------------------------------------------------------------------------

class Branching {
 public:
  Branching(const BranchOptions& options, Progress& progress)
      : options_(options), progress_(progress), run_(options.run) {}

  int go() {
    BundleFolder bundle =
        bundle_of(made_with(run_.folder, run_.log.facts_json()), options_.running.model, options_.usual_model);
    check_decoder(bundle.manifest(), options_.decoder);
    branches_ = Planner(options_, run_, bundle.manifest()).all();
    prepare(bundle.manifest());
    if (options_.dry_run) return 0;
    std::vector<Task> tasks;
    for (const Branch& branch : branches_) tasks.push_back(branch.task);
    const Bundle loaded = load_for_runs(std::move(bundle), options_.running, {options_.decoder}, progress_);
    const int code = make_runs(loaded, tasks, options_.running, out_, warnings_, progress_);
    if (code == 0) report();
    return code;
  }

 private:
  /// Names the folders, and refuses what can be before anything is loaded.
  void prepare(const Manifest& manifest) {
    const bool several = branches_.size() > 1;
    const Plan& first = branches_.front().task.plan;
    out_ = !options_.out.empty() ? options_.out
           : several             ? default_folder_.for_batch(branches_.size(), options_.dry_run)
                                 : default_folder_.for_run(first.prompt, first.recipe.seed, options_.dry_run);
    int64_t number = 0, steps = 0;
    for (Branch& branch : branches_) {
      Task& task = branch.task;
      ++number;
      task.folder = several ? out_ / folder_name(static_cast<size_t>(number), branch.at, branch.noise) : out_;
      refuse_existing_run(task.folder, options_.overwrite);
      warnings_.add(task.plan.warnings, "");
      const int64_t in_all = task.plan.made_steps.value_or(task.plan.steps());
      if (options_.dry_run)
        progress_.planned(number, task.plan, manifest, task.folder, frames_in(task.frames, task.plan.recipe, in_all));
      steps += in_all;
    }
    confinement_writes(out_);
    if (several && !options_.dry_run) progress_.batch_started(number, steps, out_);
  }

  void report() {
    const Meter meter(run_);
    std::vector<MeasuredBranch> measured;
    for (const Branch& branch : branches_) measured.push_back(meter.measured(branch));
    if (branches_.size() > 1) {
      write_whole(out_ / "branches.csv", branch_csv(measured));
      write_whole(out_ / "branch-steps.csv", branch_steps_csv(measured));
      write_whole(out_ / "branches.svg", svg_of({branch_plot(measured)}));
    }
    if (options_.running.progress != ProgressMode::json) std::cout << branch_table(measured, kSettled) << std::flush;
  }

  const BranchOptions& options_;
  Progress& progress_;
  const BranchedRun run_;
  Warnings warnings_{[this](const std::string& text) { progress_.warning(text); }};
  std::vector<Branch> branches_;
  DefaultFolder default_folder_;
  fs::path out_;
};

}  // namespace

int branch(const BranchOptions& options) {
  return with_progress(options.running, [&](Progress& progress) { return Branching(options, progress).go(); });
}

}  // namespace steplapse
