#include "runs/resume.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <exception>
#include <set>
#include <string>
#include <vector>

#include "base/confinement.h"
#include "base/text.h"
#include "record/run_folder.h"
#include "record/run_state.h"
#include "record/step_meter.h"
#include "runs/batch.h"
#include "runs/origin.h"
#include "steplapse/error.h"
#include "views/selection_json.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

// ---- what the log of a run has

/// Holds the rows of the steps against what the answers give.
class RowsCheck : public Watcher {
 public:
  explicit RowsCheck(const RunLog& log) : rows_(log.steps()), meter_(log.recipe()) {}

  void answered(const Question& question, const Answer& answer) override { meter_.answered(question, answer); }
  Verdict stepped(const Step& step) override {
    const StepRow row = meter_.stepped(step);
    const auto i = static_cast<size_t>(step.number) - 1;
    if (i < rows_.size() && !are_alike(row, rows_[i])) {
      throw std::runtime_error("row " + std::to_string(step.number) +
                               " of table 'steps' is not what the answers give; the log is damaged");
    }
    return {};
  }
  void decided(const Step&, const Verdict& verdict) override {
    if (verdict.x.defined()) meter_.go_on_with(verdict.x);
  }
  const std::vector<StepRow>& rows() const { return rows_; }

 private:
  /// Sums of another build differ in their last bits.
  static bool are_alike(const std::optional<double>& a, const std::optional<double>& b) {
    if (!a || !b) return !a && !b;
    return std::abs(*a - *b) <= 1e-4 * std::abs(*a);
  }
  static bool are_alike(const StepRow& a, const StepRow& b) {
    return a.level == b.level && a.denoiser_calls == b.denoiser_calls &&
           are_alike(a.latents_rms_change, b.latents_rms_change) && are_alike(a.x0_rms_change, b.x0_rms_change) &&
           are_alike(a.guidance_norm, b.guidance_norm);
  }

  const std::vector<StepRow> rows_;
  StepMeter meter_;
};

/// A log before version 5 does not say which frames were asked for: those kinds that are there, of each step.
FrameSelection frames_of(const RunState& run, Warnings& warnings) {
  if (!run.origin.frames.empty()) return selection_of(run.origin.frames, run.origin.number);
  FrameSelection frames;
  frames.kinds.clear();
  std::string kinds;
  for (const FrameKind kind : {FrameKind::x0, FrameKind::xt}) {
    if (!fs::exists(run.folder / "frames" / name_of(kind))) continue;
    frames.kinds.insert(kind);
    kinds += (kinds.empty() ? "" : " and ") + std::string(name_of(kind));
  }
  frames.count_files = run.origin.number == "frames";
  warnings.add({run.folder.string() + ": a log of version " + std::to_string(run.log_version) +
                " does not say which frames were asked for; going by its folder, it gets " +
                (kinds.empty() ? "none" : kinds + " of all steps")});
  return frames;
}

// ---- which runs

void refuse_if_not_ours(const RunState& run, bool dry_run) {
  const std::string place = run.folder.string();
  if (run.is_being_written) throw OutputError(place + ": another steplapse is writing this run now");
  if (!run.is_of_this_folder) {
    throw OutputError(place +
                      ": run.sqlite is not the log of the run that was made here, by run.lock; put it into a "
                      "folder of its own to go on with it");
  }
  const fs::path log = log_in(run.folder);
  if (!dry_run && ::access(log.c_str(), W_OK) != 0)
    throw OutputError(log.string() + ": cannot write: " + std::strerror(errno));
}

std::string why_over(const RunState& run) {
  if (run.ended == "done") return "is done; nothing is left to do";
  return "was ended on purpose" + (run.ended_reason.empty() ? "" : " (" + run.ended_reason + ")") +
         "; nothing is left to do";
}

// ---- their model

/// Of the model.json in a folder; "" where there is none that can be read.
std::string model_hash(const fs::path& folder) {
  try {
    return folder.empty() ? "" : read_manifest(folder).sha256;
  } catch (const BundleError&) {
    return "";
  }
}

std::string of_hash(const std::string& sha256) { return "model.json of SHA-256 " + sha256.substr(0, 12) + "…"; }

fs::path model_of(const RunState& run, const ResumeOptions& options) {
  const std::string wanted = run.origin.model_sha256;
  if (const fs::path& named = options.running.model; !named.empty()) {
    const std::string found = read_manifest(named).sha256;
    if (found == wanted) return named;
    throw BundleError(named.string() + ": is not the model of " + run.folder.string() + ", which was drawn by '" +
                      run.origin.model + "', " + of_hash(wanted) + "; this one is of " + found.substr(0, 12) +
                      "…, and another model would draw another picture");
  }
  for (const fs::path& known : {run.origin.model_path, options.usual_model}) {
    if (model_hash(known) == wanted) return known;
  }
  const std::string drawn =
      run.folder.string() + ": its model '" + run.origin.model + "', " + of_hash(wanted) + ", is not ";
  const std::string place = run.origin.model_path.empty() ? "the usual one" : "in " + run.origin.model_path.string();
  throw BundleError(drawn + place + "; name its folder with `model`");
}

fs::path common_model(const std::vector<RunState>& runs, const ResumeOptions& options) {
  const fs::path model = model_of(runs.front(), options);
  for (const RunState& run : runs) {
    if (run.origin.model_sha256 == runs.front().origin.model_sha256) continue;
    throw UsageError(in_quotes(options.path.string()) + ": its runs are of different models, '" +
                     runs.front().origin.model + "' and '" + run.origin.model + "'; name the folder of one run");
  }
  return model;
}

/// As it was when the runs were made, unless the user says otherwise. A GPU that is not here is no reason to fail.
RunningOptions running_of(const Origin& origin, const ResumeOptions& options) {
  RunningOptions running = options.running;
  if (running.device.empty()) running.device = origin.machine.device == "cpu" ? "cpu" : "auto";
  if (running.threads == 0) running.threads = static_cast<int>(origin.machine.threads);
  if (!running.max_batch) running.max_batch = origin.max_batch;
  return running;
}

// ---- going on

class Resuming {
 public:
  Resuming(const ResumeOptions& options, Progress& progress) : options_(options), progress_(progress) {}

  int go() {
    const auto folders = folders_of_runs();
    several_ = folders.front() != options_.path && !names_a_log();
    for (const fs::path& folder : folders) look_at(folder);
    if (begun_ == 0 && !refused_) throw OutputError(options_.path.string() + ": none of its runs began");
    warn_of_runs_that_never_began();
    const int code = runs_.empty() ? 0 : go_on();
    if (!refused_) return code;
    throw Error(refused_->code, "some runs were left as they are, see above");
  }

 private:
  bool names_a_log() const { return options_.path.filename() == "run.sqlite"; }

  std::vector<fs::path> folders_of_runs() const {
    const auto folders = names_a_log() ? std::vector{existing_run(options_.path)} : runs_in(options_.path);
    if (folders.empty()) existing_run(options_.path);  // which says that there is none
    return folders;
  }

  /// One of several that is refused leaves the others alone.
  template <typename Work>
  void tried(const fs::path& folder, Work work) {
    try {
      work();
    } catch (const Error& error) {
      if (!several_) throw;
      if (!refused_) refused_ = failure_of(error);
      progress_.run_failed(static_cast<int64_t>(runs_.size()) + 1, folder, failure_of(error));
    }
  }

  /// Of several runs one that had not begun is no failure.
  std::optional<RunState> state_if_begun(const fs::path& folder) {
    try {
      RunState run = state_of(folder);
      return run;
    } catch (const EmptyLog&) {
      if (!several_) throw;
      return std::nullopt;
    }
  }

  void look_at(const fs::path& folder) {
    tried(folder, [&] {
      const auto known = state_if_begun(folder);
      if (!known) return;
      ++begun_;
      const RunState& run = *known;
      runs_of_command_ = std::max(runs_of_command_, run.origin.runs);
      if (run.is_over()) return progress_.nothing_left(folder, why_over(run));
      refuse_if_not_ours(run, options_.dry_run);
      tasks_.push_back({.plan = plan_of(run.facts),
                        .folder = folder,
                        .picture = run.origin.picture.value_or(fs::path()),
                        .frames = frames_of(run, warnings_),
                        .decoder = run.origin.decoder,
                        .stop_at = run.origin.stop_at,
                        .stop_when_converged = run.origin.stop_when_converged,
                        .would_stop = run.origin.would_stop,
                        .logged = logged_part(folder)});
      runs_.push_back(run);
    });
  }

  void warn_of_runs_that_never_began() {
    if (!several_ || runs_of_command_ <= begun_) return;
    warnings_.add({options_.path.string() + ": has " + std::to_string(begun_) + " of the " +
                   counted(runs_of_command_, "run") +
                   " of its command; no log knows the settings of the others, which never began"});
  }

  int go_on() {
    const fs::path model = common_model(runs_, options_);
    std::set<std::string> decoders;
    int64_t number = 0, steps = 0;
    for (const Task& task : tasks_) {
      decoders.insert(task.decoder);
      steps += task.plan.made_steps.value_or(task.plan.steps()) - task.logged->refed_steps;
      confinement_writes(task.folder);
      if (!task.picture.empty()) confinement_writes_file(task.picture);
      say_what_is_done(++number, task);
    }
    if (options_.dry_run) return 0;
    if (tasks_.size() > 1) progress_.batch_started(number, steps, options_.path);
    const RunningOptions running = running_of(runs_.front().origin, options_);
    const Bundle bundle = load_for_runs(BundleFolder(model), running, {decoders.begin(), decoders.end()}, progress_);
    for (const RunState& run : runs_) warn_of_differences(run, this_machine(bundle));
    return make_runs(bundle, tasks_, running, options_.path, warnings_, progress_);
  }

  void say_what_is_done(int64_t number, const Task& task) {
    const auto& say = options_.dry_run ? &Progress::would_go_on : &Progress::goes_on;
    (progress_.*say)(number, task.plan, task.folder, task.logged->refed_steps);
    if (!task.logged->has_changed_latents) return;
    warnings_.add({task.folder.string() + ": its own code changed its latents; it goes on without that code"});
  }

  void warn_of_differences(const RunState& run, const Machine& now) {
    const auto found = differences(run.origin.machine, now);
    if (found.empty()) return;
    warnings_.add(
        {"the run was begun with other " + joined(found, "; ") + ": what follows may differ in its last bits"},
        run.folder.string());
  }

  const ResumeOptions& options_;
  Progress& progress_;
  Warnings warnings_{[this](const std::string& text) { progress_.warning(text); }};
  bool several_ = false;
  int64_t runs_of_command_ = 0, begun_ = 0;
  std::optional<Failure> refused_;  // the first
  std::vector<RunState> runs_;      // that are not over
  std::vector<Task> tasks_;         // one for each
};

}  // namespace

LoggedPart logged_part(const fs::path& folder) {
  const fs::path path = log_in(folder);
  try {
    const RunLog log = RunLog::open(path);
    log.check_whole();
    RowsCheck check(log);
    const int64_t steps = refeed(log, check).steps;
    if (static_cast<size_t>(steps) < check.rows().size())
      throw std::runtime_error("table 'calls' lacks answers of steps that were made; the log is damaged");
    return {.calls = log.calls(),
            .refed_steps = steps,
            .steps = check.rows(),
            .has_changed_latents = log.has_changed_latents()};
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    const std::string text = failure_of(error).message;
    throw OutputError(text.starts_with(path.string()) ? text : path.string() + ": " + text);
  }
}

int resume(const ResumeOptions& options) {
  return with_progress(options.running, [&](Progress& progress) { return Resuming(options, progress).go(); });
}

}  // namespace steplapse
