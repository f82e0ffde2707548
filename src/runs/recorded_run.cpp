#include "runs/recorded_run.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/aten.h"
#include "base/file_io.h"
#include "base/safetensors.h"
#include "base/signals.h"
#include "base/text.h"
#include "steplapse/error.h"
#include "views/picture_text.h"
#include "views/run_tables.h"

namespace steplapse {
namespace {

constexpr size_t kAnyPicture = size_t{1} << 40;  // bytes of a PNG of our own

}  // namespace

RecordedRun::RecordedRun(int64_t number, Task task, const Bundle& bundle, const Origin& here, FrameWorkers& workers,
                         Progress& progress, Watcher* own)
    : number_(number),
      task_(std::move(task)),
      bundle_(bundle),
      here_(here),
      progress_(progress),
      folder_(task_.logged ? RunFolder::of_run(task_.folder) : RunFolder::create(task_.folder, task_.overwrite)),
      signal_(plan().recipe.schedule.levels.back(),
              task_.logged ? static_cast<int64_t>(task_.logged->steps.size()) : 0),
      stop_at_(task_.stop_at, plan().recipe.schedule.levels.back()),
      converged_(task_, bundle_.manifest().x0_rms.value) {
  try {
    if (task_.logged) {
      go_on_with_log();
    } else {
      begin_log();
    }
    log_writer_.emplace(*log_);
    frames_.emplace(
        workers, folder_.path(),
        [this](const FrameRequest& request) { return bundle_.decode(decoder_of(request), request.latents); },
        [this](const FrameRequest& request) {
          return picture_texts(bundle_.manifest(), plan(), decoder_of(request), request);
        },
        [this](const Frame& frame) { written(frame); });
    progress_.started(number_, plan(), bundle_.manifest(), folder_.path(),
                      task_.logged ? task_.logged->refed_steps : 0);
    recorder_.emplace(number_, task_, ending_, *log_writer_, *frames_, progress_);
    if (reader_) watchers_.add(*reader_);
    watchers_.add(*recorder_);
    watchers_.add(signal_);
    watchers_.add(stop_at_);
    watchers_.add(converged_);
    if (own) watchers_.add(*own);
  } catch (...) {
    recorder_.reset();
    frames_.reset();
    log_writer_.reset();
    log_.reset();
    if (!task_.logged) folder_.discard();
    throw;
  }
}

void RecordedRun::begin_log() {
  log_.emplace(RunLog::create(log_in(folder_.path()), plan(), origin_of(task_, here_), prompt_texts(bundle_, plan())));
  folder_.name_run(log_->facts_sha256());
  if (task_.branch_of.empty()) return;
  past_.emplace(RunLog::open(log_in(task_.branch_of)));
  const int64_t after = plan().recipe.branched_after;
  reader_.emplace(*past_, after, plan().fresh_noise, after);
}

void RecordedRun::go_on_with_log() {
  past_.emplace(RunLog::open(log_in(folder_.path())));
  if (past_->calls() != task_.logged->calls)
    throw OutputError(folder_.path().string() + ": another steplapse has written to the run meanwhile");
  const int64_t branched_after = plan().recipe.branched_after;
  const bool has_noise = past_->latents_after(branched_after).defined();  // logged, and so given as it was
  reader_.emplace(*past_, past_->last_step_asked(), has_noise ? std::nullopt : plan().fresh_noise, branched_after);
  const auto logged = nlohmann::json::parse(past_->facts_json());
  const auto maybe = [&](const char* key) {
    return logged.contains(key) ? std::optional(logged.at(key).get<std::string>()) : std::nullopt;
  };
  log_.emplace(RunLog::go_on(log_in(folder_.path()),
                             {.date = date_now(),
                              .step = task_.logged->refed_steps + 1,
                              .ended = maybe("ended"),
                              .ended_reason = maybe("ended_reason"),
                              .machine = here_.machine},
                             task_.frames.count_files ? "frames" : "steps"));
  folder_.delete_ending();
}

Summary RecordedRun::finish(const Outcome& outcome) {
  try {
    if (outcome.error) std::rethrow_exception(outcome.error);
    return write_end(outcome);
  } catch (const std::exception& error) {
    mark_failed(failure_of(error).message);
    throw;
  }
}

Summary RecordedRun::write_end(const Outcome& outcome) {
  frames_->submit(final_picture(outcome));
  frames_->finish();
  if (!task_.picture.empty()) write_whole(task_.picture, read_whole(folder_.path() / "final.png", kAnyPicture));
  write_whole(folder_.path() / "final.safetensors", to_safetensors({{"latents", outcome.latents}}));

  const std::lock_guard guard(ending_);
  log_writer_->close();
  log_->set_distances(recorder_->distances_to(outcome.latents));
  if (!outcome.stopped) warn_of_a_broken_picture();
  Summary summary = summarise(!outcome.stopped ? "done" : signal_.has_stopped() ? "interrupted" : "stopped");
  if (outcome.stopped) summary.reason = why_stopped() + ", after step " + std::to_string(recorder_->steps());
  summary.would_stop = would_stop();
  if (summary.would_stop) log_->set_texts({{"would_have_stopped", would_stop_json(*summary.would_stop).dump()}});
  mark_ended(summary, summary.reason);
  return summary;
}

/// It is compared with the x0 that the run would have stopped with.
FrameRequest RecordedRun::final_picture(const Outcome& outcome) const {
  const NoiseLevel end = outcome.stopped ? recorder_->last_asked() : plan().recipe.schedule.levels.back();
  FrameRequest request{FrameKind::final, recorder_->steps(), end, outcome.latents};
  const auto& settled = converged_.settled();
  if (task_.would_stop && settled) request.before = {settled->step, settled->x0};
  return request;
}

/// Of a run that a signal ended it is not known.
std::optional<WouldStop> RecordedRun::would_stop() const {
  if (!task_.would_stop || signal_.has_stopped()) return std::nullopt;
  WouldStop found{.threshold = *task_.would_stop, .steps = recorder_->steps()};
  if (const auto& settled = converged_.settled()) {
    found.step = settled->step;
    found.denoiser_calls_saved = recorder_->calls() - settled->calls;
    found.psnr = would_stop_psnr_;
  }
  return found;
}

std::string RecordedRun::why_stopped() const {
  if (signal_.has_stopped()) return "a signal";
  return recorder_->stop_reason().empty() ? "a watcher" : recorder_->stop_reason();
}

void RecordedRun::mark_ended(const Summary& summary, const std::string& reason) {
  log_->set_totals({{"denoiser_load_seconds", bundle_.load_seconds().at("denoiser")},
                    {"network_seconds", summary.network_seconds},
                    {"frame_seconds", summary.frame_seconds},
                    {"hidden_seconds", summary.hidden_seconds},
                    {"total_seconds", summary.total_seconds}});
  log_frame_steps();
  log_->end(summary.status, reason);
  over_ = true;
  ended_ = summary;
  write_tables(*log_, folder_.path());
}

std::optional<Summary> RecordedRun::abandon(int signal) {
  ending_.lock();  // for good
  return over_ ? ended_ : end_here(signal);
}

Summary RecordedRun::cut(int signal) {
  const std::lock_guard guard(ending_);
  return end_here(signal);
}

Summary RecordedRun::end_here(int signal) {
  frames_->write_decoded(std::chrono::seconds(2));
  log_writer_->close();
  const int64_t steps = recorder_->steps();
  if (recorder_->in_a_step()) log_->add_stop(steps, name_of_signal(signal));
  Summary summary = summarise("interrupted");
  summary.left = left_undone();
  mark_ended(summary, recorder_->in_a_step() ? "a signal, in step " + std::to_string(steps + 1)
                                             : "a signal, before final.png was written");
  return summary;
}

/// Decoders know latents of the size that encoders give. Near its end a run's x0 is nearly the picture.
void RecordedRun::warn_of_a_broken_picture() {
  constexpr double kMost = 2.5;
  const Manifest::X0Rms& usual = bundle_.manifest().x0_rms;
  const auto wide = recorder_->wider_than(kMost * usual.value);
  if (!wide) return;
  const std::string text = "step " + std::to_string(wide->step) + ": x0 has rms " + plain(wide->rms) + ", more than " +
                           plain(kMost) + " times the " + plain(usual.value) + " of clean latents" +
                           (usual.assumed ? " (assumed: the bundle does not say)" : "") +
                           ", so the picture may be broken; a lower guidance scale, guidance rescale, more steps or "
                           "another sampler may help";
  log_->set_texts({{"warning", text}});
  progress_.warning(here_.runs > 1 ? folder_.path().filename().string() + ": " + text : text);
}

template <typename Visit>
void RecordedRun::each_frame(Visit visit) const {
  const std::lock_guard guard(pictures_mutex_);
  for (const auto& [kind, steps] : recorder_->frame_steps()) {
    for (size_t i = 0; i < steps.size(); ++i) {
      const std::string file = frame_file(kind, task_.frames.count_files ? static_cast<int64_t>(i) + 1 : steps[i]);
      visit(kind, steps[i], file, pictures_.contains(file) || recorder_->has_kept(file));
    }
  }
}

/// Steps, and pictures of those that were made.
std::vector<std::string> RecordedRun::left_undone() const {
  std::vector<std::string> left;
  if (recorder_->in_a_step()) {
    const int64_t next = recorder_->steps() + 1,
                  last = plan().made_steps.value_or(0);  // an adaptive sampler's is not known
    left.push_back((last > next ? "steps " : "step ") + std::to_string(next) +
                   (last > next ? " to " + std::to_string(last) : ""));
  }
  each_frame([&](FrameKind, int64_t, const std::string& file, bool is_written) {
    if (!is_written) left.push_back(file);
  });
  left.push_back("final.png");
  return left;
}

Summary RecordedRun::summarise(const std::string& status) const {
  const double frame_seconds = frame_ms_ / 1000;
  const double hidden = std::max(0.0, frame_seconds - frames_->waited_ms() / 1000);
  return {status,
          folder_.path(),
          recorder_->steps(),
          recorder_->calls(),
          frame_count_,
          recorder_->network_seconds(),
          frame_seconds,
          hidden,
          since_start_.seconds(),
          {},
          task_.picture.empty() ? folder_.path() / "final.png" : task_.picture,
          {},
          {},
          recorder_->shared_calls()};
}

void RecordedRun::log_frame_steps() {
  nlohmann::json steps = nlohmann::json::object();
  each_frame([&](FrameKind kind, int64_t step, const std::string&, bool is_written) {
    if (is_written) steps[std::string(name_of(kind))].push_back(step);
  });
  log_->set_texts({{"frame_steps", steps.dump()}});
}

const std::string& RecordedRun::decoder_of(const FrameRequest& request) const {
  static const std::string full = "full";
  return request.kind == FrameKind::final ? full : task_.decoder;
}

void RecordedRun::written(const Frame& frame) {
  frame_ms_ = frame_ms_ + frame.times.decode + frame.times.encode + frame.times.write;
  {
    const std::lock_guard guard(pictures_mutex_);
    pictures_.insert(frame.file);
    if (frame.kind == FrameKind::final && frame.change) would_stop_psnr_ = frame.change->psnr;
  }
  if (frame.kind != FrameKind::final) ++frame_count_;
  if (frame.kind != FrameKind::final && frame.step > 0) {
    log_writer_->push([frame](RunLog& log) { log.set_frame(frame.step, frame.times, frame.change); });
  }
  progress_.frame(number_, frame);
}

/// The log of a failed run is kept, and says why, as far as the disk still takes it.
void RecordedRun::mark_failed(const std::string& reason) noexcept {
  try {
    frames_->finish();  // what was handed over is still shown
  } catch (const std::exception&) {
  }
  const std::lock_guard guard(ending_);
  over_ = true;
  frames_.reset();  // its frames push to the log
  try {
    log_writer_->close();
    log_frame_steps();
    log_->end("failed", reason);
    write_tables(*log_, folder_.path());
  } catch (const std::exception&) {
  }
}

}  // namespace steplapse
