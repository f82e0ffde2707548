#include "runs/batch.h"

#include <ATen/Parallel.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/confinement.h"
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
    Plan plan = make_plan(manifest, request.settings, StartNoise::drawn_later);
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

/// Draws the noise that seeds stand for when a run begins, since thousands may wait. The last one is kept: the next run may begin there too.
class StartingNoise {
 public:
  const Tensor& of(Rng rng, uint64_t seed, const std::vector<int64_t>& shape) {
    if (!noise_.defined() || rng != rng_ || seed != seed_ || noise_.sizes() != shape) {
      noise_ = Noise(rng, seed).draw(shape);
      rng_ = rng;
      seed_ = seed;
    }
    return noise_;
  }

 private:
  Rng rng_ = Rng::cpu;
  uint64_t seed_ = 0;
  Tensor noise_;
};

Plan with_noise(const Manifest& manifest, const Task& task, StartingNoise& noise) {
  if (task.logged) return plan_of(RunLog::open(log_in(task.folder)).facts());
  Plan plan = task.plan;
  Recipe& recipe = plan.recipe;
  if (!recipe.init_noise.defined())
    recipe.init_noise = noise.of(recipe.rng, recipe.seed, latents_shape(manifest, {plan.width, plan.height}));
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
  Batch(const Bundle& bundle, TaskSource& tasks, const Together& together, const RunningOptions& running,
        const std::filesystem::path& folder, Warnings& warnings, Progress& progress)
      : running_(running),
        together_(together),
        bundle_(bundle),
        tasks_(tasks),
        warnings_(warnings),
        progress_(progress),
        here_(origin_here(bundle, tasks.runs(), running.max_batch)),
        prompts_(bundle),
        workers_(bundle.device() == "cpu" ? FrameWorkers::Decoding::between_steps : FrameWorkers::Decoding::beside),
        engine_([&bundle](const auto&... question) { return bundle.denoise(question...); },
                bundle.manifest().training_noise.prediction_type, running.max_batch.value_or(1)) {
    summary_.folder = folder;
    if (together.shared_bytes > 0) engine_.share_answers(together.shared_bytes, running.max_batch != 1);
  }

  BatchEnd go() {
    begin_more();
    engine_.run(
        [this](size_t index, const Outcome& outcome) {
          end(index, outcome);
          begin_more();
        },
        [this] { return is_cut(); });
    cut_the_rest();
    const std::lock_guard guard(mutex_);
    is_over_ = true;
    say_batch_done();
    return {summary_, error_};
  }

 private:
  void begin_more() {
    while (static_cast<int64_t>(begun_.size()) < engine_.max_batch() && noted_signal() == 0) {
      auto task = tasks_.next();
      if (!task) return;
      const std::filesystem::path folder = task->folder;
      const int64_t run = ++taken_;
      try {
        begin(run, std::move(*task));
      } catch (const std::exception& error) {
        const std::lock_guard guard(mutex_);
        failed(run, folder, failure_of(error));
      }
    }
  }

  void begin(int64_t run, Task task) {
    const std::string source = task.source;
    const std::filesystem::path folder = task.folder;
    task.plan = with_noise(bundle_.manifest(), task, noise_);
    GuidanceBySteps guidance = prompts_.guidance_of(task.plan);
    warnings_.add(prompts_.warnings(), source);
    look_at_size(source, task.plan, guidance.rbegin()->second);
    if (tasks_.several() && !running_.max_batch) limit_batch(task.plan.recipe, guidance.rbegin()->second);

    watch_.give(running_.grace);
    const std::lock_guard guard(mutex_);
    auto recorded = std::make_unique<RecordedRun>(run, std::move(task), bundle_, here_, workers_, progress_);
    const size_t index = engine_.add_by_steps(start(recorded->plan().recipe), std::move(guidance), recorded->watcher());
    begun_[index] = {run, folder, std::move(recorded)};
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

  bool is_cut() const { return together_.cut_at_signal && noted_signal() != 0; }

  void end(size_t index, const Outcome& outcome) {
    close(index, [&](RecordedRun& recorded) {
      return is_cut() && !outcome.error ? recorded.cut(noted_signal()) : recorded.finish(outcome);
    });
  }

  /// Those that the engine has left.
  void cut_the_rest() {
    while (!begun_.empty())
      close(begun_.begin()->first, [](RecordedRun& recorded) { return recorded.cut(noted_signal()); });
  }

  /// @param ending  what closes the run
  template <typename Ending>
  void close(size_t index, Ending ending) {
    Begun& begun = begun_.at(index);
    try {
      const Summary summary = ending(*begun.recorded);
      const std::lock_guard guard(mutex_);
      begun.recorded.reset();  // closes its files
      count(begun.run, summary);
      begun_.erase(index);
    } catch (const std::exception& error) {
      const std::lock_guard guard(mutex_);
      begun.recorded.reset();
      failed(begun.run, begun.folder, failure_of(error));
      begun_.erase(index);
    }
  }

  void count(int64_t run, const Summary& summary) {
    tasks_.ended(run, summary);
    ++(summary.status == "interrupted" ? summary_.interrupted : summary_.done);
    summary_.stopped += summary.status == "stopped";
    if (summary.would_stop) summary_.would_stop.add(*summary.would_stop);
    summary_.frames += summary.frames;
    summary_.denoiser_calls += summary.denoiser_calls;
    summary_.network_seconds += summary.network_seconds;
    progress_.done(run, summary);
  }

  /// To be called where the exception is handled.
  void failed(int64_t run, const std::filesystem::path& folder, const Failure& failure) {
    ++summary_.failed;
    if (!error_) error_ = std::current_exception();
    tasks_.failed(run, failure);
    if (tasks_.several()) progress_.run_failed(run, folder, failure);
  }

  void say_batch_done() {
    if (!tasks_.several()) return;
    summary_.not_begun = tasks_.runs() - summary_.done - summary_.interrupted - summary_.failed;
    summary_.at_once = engine_.largest_batch_run();
    summary_.asked_calls = engine_.asked_questions();
    summary_.shared_calls = engine_.shared_questions();
    summary_.total_seconds = since_start_.seconds();
    progress_.batch_done(summary_);
  }

  /// A signal's grace is over: ends what has begun where it is, and says so.
  void abandon(int signal) {
    mutex_.lock();  // for good
    if (is_over_) return;
    if (!has_begun_) return say_nothing_has_begun(progress_, signal);
    for (const auto& [index, begun] : begun_) {
      if (!begun.recorded) continue;
      try {
        if (const auto summary = begun.recorded->abandon(signal)) {
          count(begun.run, *summary);
        } else {
          ++summary_.failed;
        }
      } catch (const std::exception& error) {
        failed(begun.run, begun.folder, failure_of(error));
        if (!tasks_.several()) std::cerr << "steplapse: " + failure_of(error).message + "\n" << std::flush;
      }
    }
    say_batch_done();
  }

  struct Begun {
    int64_t run;
    std::filesystem::path folder;
    std::unique_ptr<RecordedRun> recorded;
  };

  const RunningOptions& running_;
  const Together together_;
  const Bundle& bundle_;
  TaskSource& tasks_;
  Warnings& warnings_;
  Progress& progress_;
  const Stopwatch since_start_;
  const Origin here_;
  BatchSummary summary_;
  std::exception_ptr error_;  // the first
  int64_t taken_ = 0;
  StartingNoise noise_;
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

Failure failure_in(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return failure_of(exception);
  }
}

/// Everything that can be refused is, before anything is loaded or written.
std::vector<Task> plan_requests(const Manifest& manifest, Options& options, DefaultFolder& made, Warnings& warnings,
                                Progress& progress) {
  const bool several = options.requests.size() > 1;
  if (several && options.out.empty()) options.out = made.for_batch(options.requests.size(), options.dry_run);
  std::vector<Task> runs;
  int64_t steps = 0;
  for (const Request& request : options.requests) {
    Plan plan = planned(manifest, options, request);
    if (options.out.empty()) options.out = made.for_run(plan.prompt, plan.recipe.seed, options.dry_run);
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
  if (!options.dry_run) confinement_writes(options.out);
  if (!options.dry_run && !options.picture.empty()) confinement_writes_file(options.picture);
  if (several && !options.dry_run) progress.batch_started(static_cast<int64_t>(runs.size()), steps, options.out);
  return runs;
}

using Made = std::function<void(const std::vector<std::filesystem::path>& folders)>;

int run_reporting(Options options, const Made& made, Progress& progress) {
  BundleFolder folder(options.running.model);
  const Manifest& manifest = folder.manifest();
  check_decoder(manifest, options.decoder);
  Warnings warnings([&](const std::string& text) { progress.warning(text); });
  DefaultFolder default_folder;
  const std::vector<Task> runs = plan_requests(manifest, options, default_folder, warnings, progress);
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

BatchEnd make_runs(const Bundle& bundle, TaskSource& tasks, const Together& together, const RunningOptions& running,
                   const std::filesystem::path& folder, Warnings& warnings, Progress& progress) {
  return Batch(bundle, tasks, together, running, folder, warnings, progress).go();
}

int make_runs(const Bundle& bundle, const std::vector<Task>& tasks, const RunningOptions& running,
              const std::filesystem::path& folder, Warnings& warnings, Progress& progress) {
  TaskList list(tasks);
  const auto [summary, error] = make_runs(bundle, list, {}, running, folder, warnings, progress);
  if (tasks.size() == 1 && error) std::rethrow_exception(error);
  if (summary.interrupted + summary.not_begun > 0) return exit_code_of_signal(noted_signal());
  if (error) {
    throw Error(failure_in(error).code,
                std::to_string(summary.failed) + " of " + std::to_string(tasks.size()) + " runs failed, see above");
  }
  return 0;
}

int run_batch(const Options& options, const Made& made) {
  return with_progress(options.running, [&](Progress& progress) { return run_reporting(options, made, progress); });
}

}  // namespace steplapse
