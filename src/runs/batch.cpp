#include "runs/batch.h"

#include <ATen/Parallel.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/file_io.h"
#include "base/machine.h"
#include "base/signals.h"
#include "base/standard_streams.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "base/warnings.h"
#include "model/bundle_folder.h"
#include "plan/plan.h"
#include "record/run_folder.h"
#include "runs/batch_memory.h"
#include "runs/progress.h"
#include "runs/prompt_encoder.h"
#include "runs/recorded_run.h"
#include "runs/step_cost.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

std::string with_source(const std::string& source, const std::string& text) {
  return source.empty() ? text : source + ": " + text;
}

Plan planned(const Manifest& manifest, const Options& options, const Request& request) {
  try {
    Plan plan = make_plan(manifest, request.settings);
    if (plan.made_steps) check_frames(options.frames, *plan.made_steps);
    if (const auto warning = warning_of_unasked(options.frames, plan.recipe)) plan.warnings.push_back(*warning);
    if (options.stop_at && plan.made_steps && *options.stop_at > *plan.made_steps)
      throw UsageError("`stop_at` " + std::to_string(*options.stop_at) + ": the run has " +
                       counted(*plan.made_steps, "step"));
    return plan;
  } catch (const UsageError& error) {
    throw UsageError(with_source(request.source, error.what()));
  }
}

// Thousands of runs may wait, so those that draw their start from the seed do so when they begin.

void drop_drawn_noise(Recipe& recipe) {
  if (!recipe.init_noise_given) recipe.init_noise.reset();
}

Plan with_noise(const Manifest& manifest, const Task& task) {
  if (task.logged) return plan_of(RunLog::open(log_in(task.folder)).facts());
  Plan plan = task.plan;
  if (!plan.recipe.init_noise.defined()) {
    plan.recipe.init_noise =
        Noise(plan.recipe.rng, plan.recipe.seed).draw(latents_shape(manifest, {plan.width, plan.height}));
  }
  return plan;
}

/// A signal came before there was anything to finish.
void say_nothing_has_begun(Progress& progress, int signal) {
  const std::string message = "interrupted by " + name_of_signal(signal) + " before a run began; nothing is written";
  progress.failed({message, static_cast<ExitCode>(exit_code_of_signal(signal))});
  std::cerr << "steplapse: " + message + "\n" << std::flush;
}

/// The runs from the first denoiser call to the last closed log. At most as many are begun as share a call.
class Batch {
 public:
  Batch(const Bundle& bundle, const std::vector<Task>& runs, const RunningOptions& running,
        const std::filesystem::path& folder, Warnings& warnings, Progress& progress)
      : running_(running),
        bundle_(bundle),
        runs_(runs),
        warnings_(warnings),
        progress_(progress),
        here_(origin_here(bundle, static_cast<int64_t>(runs.size()), running.max_batch)),
        prompts_(bundle),
        workers_(bundle.device() == "cpu" ? FrameWorkers::Decoding::between_steps : FrameWorkers::Decoding::beside),
        engine_([&bundle](const auto&... question) { return bundle.denoise(question...); },
                bundle.manifest().training_noise.prediction_type, running.max_batch.value_or(1)) {
    summary_.folder = folder;
  }

  int go() {
    begin_more();
    engine_.run([this](size_t index, const Outcome& outcome) {
      end(index, outcome);
      begin_more();
    });
    const std::lock_guard guard(mutex_);
    is_over_ = true;
    if (runs_.size() == 1 && error_) std::rethrow_exception(error_);
    say_batch_done();
    if (summary_.interrupted + summary_.not_begun > 0) return exit_code_of_signal(noted_signal());
    if (error_) {
      throw Error(failure_of_error().code,
                  std::to_string(summary_.failed) + " of " + std::to_string(runs_.size()) + " runs failed, see above");
    }
    return 0;
  }

 private:
  void begin_more() {
    while (next_ < runs_.size() && static_cast<int64_t>(begun_.size()) < engine_.max_batch() && noted_signal() == 0) {
      const size_t run = next_++;
      try {
        begin(run);
      } catch (const std::exception& error) {
        const std::lock_guard guard(mutex_);
        failed(run, failure_of(error));
      }
    }
  }

  void begin(size_t run) {
    const std::string& source = runs_[run].source;
    Task task = runs_[run];
    task.plan = with_noise(bundle_.manifest(), task);
    GuidanceBySteps guidance = prompts_.guidance_of(task.plan);
    warnings_.add(prompts_.warnings(), source);
    look_at_size(source, task.plan, guidance.rbegin()->second);
    if (runs_.size() > 1 && !running_.max_batch) limit_batch(task.plan.recipe, guidance.rbegin()->second);

    watch_.give(running_.grace);
    const std::lock_guard guard(mutex_);
    const auto number = static_cast<int64_t>(run) + 1;
    auto recorded = std::make_unique<RecordedRun>(number, std::move(task), bundle_, here_, workers_, progress_);
    const size_t index = engine_.add_by_steps(start(recorded->plan().recipe), std::move(guidance), recorded->watcher());
    begun_[index] = {run, std::move(recorded)};
    has_begun_ = true;
  }

  /// Of several runs the largest is looked at.
  void look_at_size(const std::string& source, const Plan& plan, const Guidance& guidance) {
    const int64_t pixels = plan.width * plan.height;
    if (pixels <= most_pixels_) return;
    try {
      warnings_.add(check_cost(bundle_, plan, guidance), source);
    } catch (const MemoryError& error) {
      throw MemoryError(with_source(source, error.what()));
    }
    most_pixels_ = pixels;
  }

  /// The largest run that has begun says how many fit.
  void limit_batch(const Recipe& recipe, const Guidance& guidance) {
    int64_t size = recipe.init_noise.numel();
    for (const Tensor& tensor : guidance.cond) size += tensor.numel();
    size *= guidance.rule.most_rows();
    if (size <= largest_) return;
    const int64_t fit = batch_that_fits(bundle_, recipe, guidance);
    engine_.set_max_batch(largest_ == 0 ? fit : std::min(fit, engine_.max_batch()));
    largest_ = size;
  }

  void end(size_t index, const Outcome& outcome) {
    const auto& [run, recorded] = begun_.at(index);
    try {
      const Summary summary = recorded->finish(outcome);
      const std::lock_guard guard(mutex_);
      count(run, summary);
      begun_.erase(index);
    } catch (const std::exception& error) {
      const std::lock_guard guard(mutex_);
      failed(run, failure_of(error));
      begun_.erase(index);
    }
  }

  void count(size_t run, const Summary& summary) {
    ++(summary.status == "interrupted" ? summary_.interrupted : summary_.done);
    summary_.stopped += summary.status == "stopped";
    if (summary.would_stop) summary_.would_stop.add(*summary.would_stop);
    summary_.frames += summary.frames;
    summary_.denoiser_calls += summary.denoiser_calls;
    summary_.network_seconds += summary.network_seconds;
    progress_.done(static_cast<int64_t>(run) + 1, summary);
  }

  /// To be called where the exception is handled.
  void failed(size_t run, const Failure& failure) {
    ++summary_.failed;
    if (!error_) error_ = std::current_exception();
    if (runs_.size() > 1) progress_.run_failed(static_cast<int64_t>(run) + 1, runs_[run].folder, failure);
  }

  void say_batch_done() {
    if (runs_.size() == 1) return;
    summary_.not_begun = static_cast<int64_t>(runs_.size()) - summary_.done - summary_.interrupted - summary_.failed;
    summary_.at_once = engine_.largest_batch_run();
    summary_.total_seconds = since_start_.seconds();
    progress_.batch_done(summary_);
  }

  /// A signal's grace is over: ends what has begun where it is, and says so.
  void abandon(int signal) {
    mutex_.lock();  // for good
    if (is_over_) return;
    if (!has_begun_) return say_nothing_has_begun(progress_, signal);
    for (const auto& [index, begun] : begun_) {
      try {
        if (const auto summary = begun.recorded->abandon(signal)) {
          count(begun.run, *summary);
        } else {
          ++summary_.failed;
        }
      } catch (const std::exception& error) {
        failed(begun.run, failure_of(error));
        if (runs_.size() == 1) std::cerr << "steplapse: " + failure_of(error).message + "\n" << std::flush;
      }
    }
    say_batch_done();
  }

  Failure failure_of_error() const {
    try {
      std::rethrow_exception(error_);
    } catch (const std::exception& error) {
      return failure_of(error);
    }
  }

  struct Begun {
    size_t run;
    std::unique_ptr<RecordedRun> recorded;
  };

  const RunningOptions& running_;
  const Bundle& bundle_;
  const std::vector<Task>& runs_;
  Warnings& warnings_;
  Progress& progress_;
  const Stopwatch since_start_;
  const Origin here_;
  BatchSummary summary_;
  std::exception_ptr error_;  // the first
  size_t next_ = 0;
  PromptEncoder prompts_;
  int64_t most_pixels_ = 0;  // of a run that was looked at
  int64_t largest_ = 0;      // numbers in one run's rows, of those that were measured
  FrameWorkers workers_;
  std::map<size_t, Begun> begun_;  // by the engine's index
  Engine engine_;
  std::mutex mutex_;  // held by who begins or ends runs, or says what they came to; a watchdog that did keeps it
  bool has_begun_ = false, is_over_ = false;
  SignalWatch watch_{[this](int signal) { abandon(signal); }};
};

/// Everything that can be refused is, before anything is loaded or written.
std::vector<Task> plan_requests(const Manifest& manifest, Options& options, Warnings& warnings, Progress& progress) {
  const bool several = options.requests.size() > 1;
  if (several && options.out.empty()) options.out = default_batch_folder(options.requests.size());
  std::vector<Task> runs;
  int64_t steps = 0;
  for (const Request& request : options.requests) {
    Plan plan = planned(manifest, options, request);
    drop_drawn_noise(plan.recipe);
    if (!several && options.out.empty()) options.out = default_run_folder(plan.prompt, plan.recipe.seed);
    warnings.add(plan.warnings, request.source);
    const auto folder = several ? options.out / numbered_folder(runs.size() + 1, plan) : options.out;
    refuse_existing_run(folder, options.overwrite);
    const auto beside = options.picture.parent_path();  // where it is missing, making the run folder makes it
    if (!options.picture.empty() && (beside.empty() || std::filesystem::exists(beside))) {
      check_writable(options.picture, options.overwrite);
    }
    if (options.dry_run) {
      progress.planned(static_cast<int64_t>(runs.size()) + 1, plan, manifest, folder,
                       frames_in(options.frames, plan.recipe, plan.made_steps.value_or(plan.steps())));
    }
    steps += plan.made_steps.value_or(plan.steps());
    runs.push_back({.source = request.source,
                    .plan = std::move(plan),
                    .folder = folder,
                    .picture = options.picture,
                    .frames = options.frames,
                    .decoder = options.decoder,
                    .stop_at = options.stop_at,
                    .stop_when_converged = options.stop_when_converged,
                    .would_stop = options.would_stop,
                    .overwrite = options.overwrite});
  }
  if (several && !options.dry_run) progress.batch_started(static_cast<int64_t>(runs.size()), steps, options.out);
  return runs;
}

using Made = std::function<void(const std::vector<std::filesystem::path>& folders)>;

int run_reporting(Options options, const Made& made, Progress& progress) {
  BundleFolder folder(options.running.model);
  const Manifest& manifest = folder.manifest();
  check_decoder(manifest, options.decoder);
  Warnings warnings([&](const std::string& text) { progress.warning(text); });
  const std::vector<Task> runs = plan_requests(manifest, options, warnings, progress);
  if (options.dry_run) return 0;
  const Bundle bundle = load_for_runs(std::move(folder), options.running, {options.decoder}, progress);
  const int code = make_runs(bundle, runs, options.running, options.out, warnings, progress);
  if (code != 0 || !made) return code;
  std::vector<std::filesystem::path> folders;
  for (const Task& run : runs) folders.push_back(run.folder);
  made(folders);
  return 0;
}

}  // namespace

std::string numbered_folder(size_t run, const Plan& plan) {
  char number[32];
  std::snprintf(number, sizeof number, "%04zu-", run);
  return number + slug(plan.prompt) + "-" + std::to_string(plan.recipe.seed);
}

void check_decoder(const Manifest& manifest, const std::string& decoder) {
  if (manifest.decoders.contains(decoder)) return;
  std::string known;
  for (const auto& [name, module] : manifest.decoders) known += (known.empty() ? "" : ", ") + name;
  throw UsageError("`decoder` " + in_quotes(decoder) + ": " + manifest.name + " has " + known);
}

int with_progress(const RunningOptions& running, const std::function<int(Progress&)>& work) {
  const auto progress = make_progress(running.progress, running.show);
  const auto say_on_output = [&](const std::string& text) {
    if (running.progress == ProgressMode::json) return progress->warning(text);
    std::cout << "steplapse: warning: " << text << std::endl;
  };
  try {
    const int code = work(*progress);
    say_which_reader_left(say_on_output);
    return code;
  } catch (const std::exception& error) {
    progress->failed(failure_of(error));
    say_which_reader_left(say_on_output);
    throw;
  }
}

Bundle load_for_runs(BundleFolder folder, const RunningOptions& running, const std::vector<std::string>& decoders,
                     Progress& progress) {
  set_threads(running.threads);
  const SignalWatch watch([&](int signal) { say_nothing_has_begun(progress, signal); });
  return load_bundle(std::move(folder), running.device, decoders);
}

int make_runs(const Bundle& bundle, const std::vector<Task>& tasks, const RunningOptions& running,
              const std::filesystem::path& folder, Warnings& warnings, Progress& progress) {
  return Batch(bundle, tasks, running, folder, warnings, progress).go();
}

int run_batch(const Options& options, const Made& made) {
  return with_progress(options.running, [&](Progress& progress) { return run_reporting(options, made, progress); });
}

}  // namespace steplapse
