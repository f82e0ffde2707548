#include "steplapse/run.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <optional>

#include "machine.h"
#include "picture_text.h"
#include "progress.h"
#include "signals.h"
#include "steplapse/file_io.h"
#include "steplapse/prompts.h"
#include "steplapse/run_folder.h"
#include "steplapse/run_log.h"
#include "steplapse/safetensors.h"
#include "steplapse/text.h"
#include "version.h"
#include "steplapse/work_queue.h"

namespace steplapse {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double rms(const Tensor& x) { return x.square().mean().sqrt().item<double>(); }

/// The log, written by a thread of its own: any prefix of it is valid, so it may lag behind the sampler.
class LogWriter {
 public:
  explicit LogWriter(RunLog& log) : log_(log) {}
  template <typename Write>
  void push(Write write) {
    queue_.push([this, write = std::move(write)] {
      write(log_);
      log_.commit_when_due();
    });
  }
  void finish() {
    queue_.drain();
    log_.commit();
  }

 private:
  RunLog& log_;
  WorkQueue queue_{64};
};

/// Turns what the engine reports into rows, frames and progress, and ends the run when a signal was noted.
class Recorder : public Watcher {
 public:
  Recorder(const Plan& plan, const FrameSelection& selection, LogWriter& log, FrameWriter& frames, Progress& progress)
      : plan_(plan), selection_(selection), log_(log), frames_(frames), progress_(progress) {
    x_ = plan.recipe.init_noise * plan.recipe.schedule.init_scale;
    if (selection_.has_xt(0)) frames_.submit({"xt", 0, plan.recipe.schedule.levels.front(), x_});
  }

  void answered(const Question& question, const Answer& answer) override {
    if (!first_asked_) {
      first_asked_ = question.level;
      if (answer.uncond.defined()) guidance_norm_ = (answer.cond - answer.uncond).norm().item<double>();
    }
    ++calls_;
    denoiser_ms_ += answer.milliseconds;
    network_ms_ += answer.milliseconds;
    log_.push([question, answer](RunLog& log) { log.add_call(question, answer); });
  }

  Verdict stepped(const Step& step) override {
    const StepRow row = row_of(step);
    log_.push([row](RunLog& log) { log.add_step(row); });
    if (selection_.has_x0(step.number)) frames_.submit({"x0", step.number, row.level, step.x0});
    if (selection_.has_xt(step.number)) frames_.submit({"xt", step.number, step.level, step.x});
    progress_.step(row);

    steps_ = step.number;
    last_asked_ = row.level;
    x_ = step.x;
    estimates_.push_back(step.x0);
    first_asked_.reset();
    guidance_norm_.reset();
    denoiser_ms_ = 0;
    return {stop_for_signal(step.number), {}};
  }

  /// How far each step's x0 was from the latents that the run ended with.
  std::map<int64_t, double> distances_to(const Tensor& final_latents) const {
    std::map<int64_t, double> distances;
    for (size_t i = 0; i < estimates_.size(); ++i) {
      distances[static_cast<int64_t>(i) + 1] = rms(estimates_[i] - final_latents);
    }
    return distances;
  }

  int64_t steps() const { return steps_; }
  NoiseLevel last_asked() const { return last_asked_; }
  int64_t calls() const { return calls_; }
  double network_seconds() const { return network_ms_ / 1000; }

 private:
  StepRow row_of(const Step& step) const {
    StepRow row;
    row.step = step.number;
    row.level = first_asked_.value();
    row.latents_rms_change = rms(step.x - x_);
    if (!estimates_.empty()) row.x0_rms_change = rms(step.x0 - estimates_.back());
    row.guidance_norm = guidance_norm_;
    row.denoiser_calls = calls_;
    row.denoiser_ms = denoiser_ms_;
    return row;
  }

  bool stop_for_signal(int64_t step) {
    const int signal = noted_signal();
    if (signal == 0 || step == plan_.steps()) return false;  // after the last step there is nothing left to stop
    log_.push([step, signal](RunLog& log) { log.add_stop(step, signal == SIGINT ? "SIGINT" : "SIGTERM"); });
    return true;
  }

  const Plan& plan_;
  const FrameSelection& selection_;
  LogWriter& log_;
  FrameWriter& frames_;
  Progress& progress_;

  Tensor x_;                       // latents after the last step
  std::vector<Tensor> estimates_;  // x0 of each step
  std::optional<NoiseLevel> first_asked_;  // in this step
  std::optional<double> guidance_norm_;
  NoiseLevel last_asked_;
  double denoiser_ms_ = 0, network_ms_ = 0;
  int64_t steps_ = 0, calls_ = 0;
};

std::map<std::string, std::string> provenance(const Manifest& manifest, const Options& options,
                                              const std::string& device) {
  return {{"version", kVersion},
          {"libtorch", libtorch_version()},
          {"model", manifest.name},
          {"model_sha256", manifest.sha256},
          {"device", device},
          {"threads", std::to_string(at::get_num_threads())},
          {"decoder", options.decoder}};
}

/// The bundle's list of what it was taught, if it has one, knows which words mean nothing to it.
void warn_of_unknown_words(const Bundle& bundle, const Plan& plan, Progress& progress) {
  if (!bundle.manifest().prompts) return;
  const auto warning = unknown_warning(taught_prompts(bundle.folder(), bundle.manifest()), words_of(plan));
  if (warning) progress.warning(*warning);
}

void check_decoder(const Manifest& manifest, const std::string& decoder) {
  if (manifest.decoders.contains(decoder)) return;
  std::string known;
  for (const auto& [name, module] : manifest.decoders) known += (known.empty() ? "" : ", ") + name;
  throw UsageError("--decoder " + in_quotes(decoder) + ": " + manifest.name + " has " + known);
}

int64_t frames_in(const FrameSelection& selection, int64_t steps) {
  int64_t frames = 0;
  for (int64_t step = 0; step <= steps; ++step) frames += selection.has_x0(step) + selection.has_xt(step);
  return frames;
}

/// From the first denoiser call to the closed log.
class Run {
 public:
  Run(const Options& options, const Bundle& bundle, const Plan& plan, const RunFolder& folder, Progress& progress)
      : options_(options),
        bundle_(bundle),
        plan_(plan),
        folder_(folder),
        progress_(progress),
        log_(RunLog::create(folder.path() / "run.sqlite", plan, provenance(bundle.manifest(), options, bundle.device()))),
        log_writer_(log_) {
    frames_.emplace(
        folder.path(), [this](const FrameOrder& order) { return decode(order); },
        [this](const FrameOrder& order) { return picture_texts(bundle_.manifest(), plan_, decoder_of(order), order); },
        [this](const Frame& frame) { written(frame); });
  }

  int go(Guidance guidance) {
    try {
      return sample_and_finish(std::move(guidance));
    } catch (const std::exception& error) {
      mark_failed(failure_of(error).message);
      throw;
    }
  }

 private:
  int sample_and_finish(Guidance guidance) {
    Recorder recorder(plan_, options_.frames, log_writer_, *frames_, progress_);
    Engine engine([this](const auto&... question) { return bundle_.denoise(question...); },
                  plan_.recipe.prediction_type);
    engine.add(start(plan_.recipe), std::move(guidance), &recorder);
    const Outcome outcome = engine.run().front();
    if (outcome.error) std::rethrow_exception(outcome.error);

    const NoiseLevel end = outcome.stopped ? recorder.last_asked() : plan_.recipe.schedule.levels.back();
    frames_->submit({"final", recorder.steps(), end, outcome.latents});
    frames_->finish();
    write_whole(folder_.path() / "final.safetensors", to_safetensors({{"latents", outcome.latents}}));
    log_writer_.finish();
    log_.set_distances(recorder.distances_to(outcome.latents));

    const Summary summary = summarise(recorder, outcome.stopped ? "interrupted" : "done");
    log_.set_totals({{"denoiser_load_seconds", bundle_.load_seconds().at("denoiser")},
                     {"network_seconds", summary.network_seconds},
                     {"frame_seconds", summary.frame_seconds},
                     {"hidden_seconds", summary.hidden_seconds},
                     {"total_seconds", summary.total_seconds}});
    log_.end(summary.status, outcome.stopped ? "a signal, after step " + std::to_string(recorder.steps()) : "");
    write_views(log_, folder_.path());
    progress_.done(summary);
    return outcome.stopped ? 128 + noted_signal() : 0;
  }

  Summary summarise(const Recorder& recorder, const std::string& status) const {
    const double frame_seconds = frame_ms_ / 1000;
    const double hidden = std::max(0.0, frame_seconds - frames_->waited_ms() / 1000);
    return {status,        folder_.path(), recorder.steps(), recorder.calls(), frame_count_, recorder.network_seconds(),
            frame_seconds, hidden,         seconds_since(start_)};
  }

  const std::string& decoder_of(const FrameOrder& order) const {
    static const std::string full = "full";
    return order.kind == "final" ? full : options_.decoder;
  }

  Tensor decode(const FrameOrder& order) const { return bundle_.decode(decoder_of(order), order.latents); }

  /// On the frame writer's thread.
  void written(const Frame& frame) {
    frame_ms_ = frame_ms_ + frame.times.decode + frame.times.encode + frame.times.write;
    if (frame.kind != "final") ++frame_count_;
    if (frame.kind != "final" && frame.step > 0) {
      log_writer_.push([frame](RunLog& log) { log.set_frame(frame.step, frame.times, frame.change); });
    }
    progress_.frame(frame);
  }

  /// The log of a failed run is kept, and says why, as far as the disk still takes it.
  void mark_failed(const std::string& reason) noexcept {
    try {
      frames_->finish();  // what was handed over is still shown
    } catch (const std::exception&) {
    }
    frames_.reset();  // its threads push to the log
    try {
      log_writer_.finish();
      log_.end("failed", reason);
      write_views(log_, folder_.path());
    } catch (const std::exception&) {
    }
  }

  const Options& options_;
  const Bundle& bundle_;
  const Plan& plan_;
  const RunFolder& folder_;
  Progress& progress_;
  Clock::time_point start_ = Clock::now();
  std::atomic<double> frame_ms_ = 0;
  std::atomic<int64_t> frame_count_ = 0;
  RunLog log_;
  LogWriter log_writer_;
  std::optional<FrameWriter> frames_;  // last, so first to end: its threads use all the others
};

int run_reporting(Options options, Progress& progress) {
  const Manifest manifest = read_manifest(options.model);
  const Plan plan = make_plan(manifest, options.settings);
  check_frames(options.frames, plan.steps());
  check_decoder(manifest, options.decoder);
  if (options.out.empty()) options.out = default_run_folder(plan.prompt, plan.recipe.seed);
  for (const auto& warning : plan.warnings) progress.warning(warning);
  refuse_existing_run(options.out, options.overwrite);
  if (options.dry_run) {
    progress.planned(plan, manifest, options.out, frames_in(options.frames, plan.steps()));
    return 0;
  }

  set_threads(options.threads);
  const Bundle bundle = load_bundle(options.model, options.device, {options.decoder});
  warn_of_unknown_words(bundle, plan, progress);
  EncodedPrompts encoded = encode_prompts(bundle, plan);
  for (const auto& warning : encoded.warnings) progress.warning(warning);

  RunFolder folder = RunFolder::create(options.out, options.overwrite);
  std::optional<Run> run;
  try {
    run.emplace(options, bundle, plan, folder, progress);
  } catch (...) {
    folder.discard();
    throw;
  }
  progress.started(plan, manifest, folder.path());
  note_signals();  // from here there is a step to finish; before, a signal ends the process as ever
  return run->go(std::move(encoded.guidance));
}

}  // namespace

int run(const Options& options) {
  const auto progress = make_progress(options.progress);
  try {
    return run_reporting(options, *progress);
  } catch (const std::exception& error) {
    progress->failed(failure_of(error));
    throw;
  }
}

}  // namespace steplapse
