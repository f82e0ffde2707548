#include "runs/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/png.h"
#include "base/progress_line.h"
#include "base/stopwatch.h"
#include "base/terminal.h"
#include "base/terminal_picture.h"
#include "base/text.h"
#include "base/wording.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char text[512];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

std::string minutes(double seconds) {
  const auto whole = static_cast<long>(std::ceil(seconds));
  return format("%ld:%02ld", whole / 60, whole % 60);
}

std::string warning_line(const std::string& text) { return "steplapse: warning: " + text; }

std::string failed_line(const std::filesystem::path& folder, const Failure& failure) {
  const bool is_named = failure.code == ExitCode::output;  // whose message begins with the path
  return "steplapse: " + (is_named ? "" : folder.string() + ": ") + failure.message;
}

/// Where it is not the bundle's own.
std::string on_schedule(const Plan& plan, const Manifest& manifest) {
  return plan.own_levels() || plan.schedule == manifest.training_noise.timestep_spacing ? "" : " on " + plan.schedule;
}

std::string starting_line(const Plan& plan, const Manifest& manifest, const std::filesystem::path& folder) {
  return in_quotes(plan.prompt) + ", seed " + std::to_string(plan.recipe.seed) + ", " + counted(plan.steps(), "step") +
         " of " + plan.recipe.sampler + on_schedule(plan, manifest) + ", " + manifest.name + " " +
         std::to_string(plan.width) + "x" + std::to_string(plan.height) + " -> " + folder.string();
}

/// @param verb  what is done: goes on, would go on
std::string going_on_line(const Plan& plan, const std::filesystem::path& folder, int64_t logged_steps,
                          const std::string& verb) {
  const std::string place = folder.string() + ": ", prompt = in_quotes(plan.prompt);
  if (plan.made_steps == logged_steps) {
    return place + verb + " with the final picture of " + prompt + "; all " + counted(logged_steps, "step") +
           " are in the log";
  }
  return place + verb + " with step " + std::to_string(logged_steps + 1) +
         (plan.made_steps ? " of " + std::to_string(*plan.made_steps) : "") + " of " + prompt + "; " +
         (logged_steps == 0 ? "none is" : std::to_string(logged_steps) + (logged_steps == 1 ? " is" : " are")) +
         " in the log";
}

/// How often the network will be asked.
std::string calls_text(const Plan& plan) {
  if (!plan.made_steps) return "as many denoiser calls as the sampler likes";
  const Recipe& recipe = plan.recipe;
  int64_t guided = 0, plain = 0;
  for (const auto& question : outline(sampler_named(recipe.sampler), recipe.options, recipe.schedule).questions) {
    const bool both = recipe.guidance.asks_uncond(question.step, question.level) &&
                      recipe.guidance.asks_cond(question.step, question.level);
    ++(both ? guided : plain);
  }
  std::string text;
  const auto add = [&](int64_t calls, const char* rows) {
    if (calls > 0) text += counted(calls, "denoiser call") + " of " + rows;
  };
  add(guided, "2 rows");
  if (guided > 0 && plain > 0) text += " and ";
  add(plain, "1 row");
  return text;
}

/// The first few.
std::string left_text(const std::vector<std::string>& left) {
  constexpr size_t kShown = 4;
  std::string text;
  for (size_t i = 0; i < std::min(left.size(), kShown); ++i) text += (i == 0 ? "" : ", ") + left[i];
  return left.size() <= kShown ? text : text + " and " + std::to_string(left.size() - kShown) + " more";
}

std::string closing_lines(const Summary& summary) {
  std::string text = summary.status + ": ";
  text +=
      summary.left.empty() ? summary.picture.string() : summary.folder.string() + " lacks " + left_text(summary.left);
  if (summary.frames > 0)
    text += " and " + counted(summary.frames, "frame") + " in " + (summary.folder / "frames").string();
  if (summary.status == "stopped") text += "\n" + worded(summary.reason);
  if (summary.would_stop) text += "\n" + would_stop_line(*summary.would_stop);
  text += "\n" + counted(summary.steps, "step") + ", " + counted(summary.denoiser_calls, "denoiser call") +
          format(", %.1f s in all: network %.1f s, frames %.1f s", summary.total_seconds, summary.network_seconds,
                 summary.frame_seconds);
  if (summary.frame_seconds > 0) {
    text += format(" (%.0f%% of it hidden behind the network)", 100 * summary.hidden_seconds / summary.frame_seconds);
  }
  return text + "\n";
}

std::string would_stop_line(const WouldStopTotals& totals) {
  std::string text =
      std::to_string(totals.stopped) + " of " + counted(totals.runs, "run") + " would have stopped before their end";
  if (totals.stopped == 0) return text;
  text += ", with " + counted(totals.denoiser_calls_saved, "denoiser call") + " fewer";
  if (std::isinf(totals.least_psnr)) return text + " and the same pictures";
  return text + format("; the worst x0 is %.1f dB from its final picture", totals.least_psnr);
}

std::string closing_lines(const BatchSummary& summary) {
  std::string text = counted(summary.done, "run") + " done";
  if (summary.stopped > 0) text += " (" + std::to_string(summary.stopped) + " of them stopped early)";
  const auto add = [&](int64_t runs, const char* what) {
    if (runs > 0) text += ", " + std::to_string(runs) + what;
  };
  add(summary.interrupted, " interrupted");
  add(summary.failed, " failed");
  add(summary.not_begun, " not begun");
  text += ", " + counted(summary.frames, "frame") + " in " + summary.folder.string();
  if (summary.would_stop.runs > 0) text += "\n" + would_stop_line(summary.would_stop);
  return text + "\n" + counted(summary.denoiser_calls, "denoiser call") + ", up to " + std::to_string(summary.at_once) +
         format(" shared, %.1f s in all: network %.1f s; %.1f images a minute\n", summary.total_seconds,
                summary.network_seconds, 60 * static_cast<double>(summary.done) / summary.total_seconds);
}

/// Counts, under a lock, since frames come from another thread.
class Counting : public Progress {
 public:
  void batch_started(int64_t runs, int64_t steps, const std::filesystem::path& folder) override {
    runs_ = runs;
    steps_ = steps;
    since_start_.restart();
    say(counted(runs, "run") + " -> " + folder.string());
  }
  void goes_on(int64_t, const Plan& plan, const std::filesystem::path& folder, int64_t logged_steps) override {
    say(going_on_line(plan, folder, logged_steps, "goes on"));
  }
  void started(int64_t, const Plan& plan, const Manifest& manifest, const std::filesystem::path& folder,
               int64_t logged_steps) override {
    if (runs_ > 0) return;
    steps_ = plan.made_steps.value_or(plan.steps());
    step_ = logged_steps_ = logged_steps;
    since_start_.restart();
    if (logged_steps == 0) say(starting_line(plan, manifest, folder));
  }
  void step(int64_t, const StepRow&) override {
    const std::lock_guard guard(mutex_);
    ++step_;
    seconds_ = since_start_.seconds();
    show();
  }
  void frame(int64_t, const Frame& frame) override {
    const std::lock_guard guard(mutex_);
    if (frame.kind == FrameKind::final) return;
    ++frames_;
    if (step_ > logged_steps_) show();
  }
  void done(int64_t, const Summary& summary) override {
    const std::lock_guard guard(mutex_);
    ++over_;
    if (runs_ == 0) std::cout << closing_lines(summary) << std::flush;
  }
  void run_failed(int64_t run, const std::filesystem::path& folder, const Failure& failure) override {
    const std::lock_guard guard(mutex_);
    ++over_;
    Progress::run_failed(run, folder, failure);
  }
  void batch_done(const BatchSummary& summary) override { std::cout << closing_lines(summary) << std::flush; }

 protected:
  virtual void show() = 0;
  virtual void say(const std::string& line) { std::cerr << line << std::endl; }

  /// What matters most comes first.
  std::vector<std::string> state() const {
    const double rate = static_cast<double>(step_ - logged_steps_) / seconds_;
    const int64_t left = std::max<int64_t>(0, steps_ - step_);
    std::vector<std::string> parts;
    if (runs_ > 0) parts.push_back(std::to_string(over_) + "/" + counted(runs_, "run"));
    parts.push_back("step " + std::to_string(step_) + "/" + std::to_string(steps_));
    parts.push_back(minutes(static_cast<double>(left) / rate) + " left");
    parts.push_back(format("%.2f it/s", rate));
    if (frames_ > 0) parts.push_back(counted(frames_, "frame") + " written");
    return parts;
  }

  std::mutex mutex_;
  Stopwatch since_start_;
  double seconds_ = 0;  // at the last step
  int64_t steps_ = 0, step_ = 0, frames_ = 0;
  int64_t logged_steps_ = 0;     // of one alone that goes on
  int64_t runs_ = 0, over_ = 0;  // of several; 0 of one alone
};

class Lines : public Counting {
 protected:
  void show() override {
    if (since_line_.seconds() < 10) return;
    since_line_.restart();
    std::cerr << joined(state(), ", ") << std::endl;
  }

 private:
  Stopwatch since_line_;
};

class Bar : public Counting {
 public:
  explicit Bar(bool show) : shows_pictures_(show), by_kitty_(show && shows_kitty_pictures(STDERR_FILENO)) {}

  void frame(int64_t run, const Frame& frame) override {
    Counting::frame(run, frame);
    if (shows_pictures_ && frame.kind == FrameKind::x0) line_.show(in_terminal(*frame.picture));
  }
  void done(int64_t run, const Summary& summary) override {
    if (runs_ == 0) line_.end();
    Counting::done(run, summary);
  }
  void run_failed(int64_t, const std::filesystem::path& folder, const Failure& failure) override {
    const std::lock_guard guard(mutex_);
    ++over_;
    line_.say(failed_line(folder, failure));
  }
  void batch_done(const BatchSummary& summary) override {
    line_.end();
    Counting::batch_done(summary);
  }
  void warning(const std::string& text) override { line_.say(warning_line(text)); }
  void failed(const Failure&) override { line_.end(); }

 protected:
  void show() override { line_.show(static_cast<double>(step_) / static_cast<double>(steps_), state()); }
  void say(const std::string& text) override { line_.say(wrapped(text, terminal_columns(STDERR_FILENO), 2)); }

 private:
  TerminalPicture in_terminal(const Picture& picture) const {
    const size_t columns = terminal_columns(STDERR_FILENO), all_rows = terminal_rows(STDERR_FILENO);
    const size_t rows = all_rows > kRowsBelow ? all_rows - kRowsBelow : 1;
    const auto width = static_cast<size_t>(picture.width), height = static_cast<size_t>(picture.height);
    if (!by_kitty_) return half_blocks({picture.rgb, width, height}, columns, rows);
    return kitty_picture(encode_png(picture.rgb, picture.width, picture.height, {}), width, height, columns, rows);
  }

  static constexpr size_t kRowsBelow = 3;  // the bar, the prompt's line, and one that stays empty
  ProgressLine line_;
  bool shows_pictures_, by_kitty_;
};

class Json : public Progress {
 public:
  void batch_started(int64_t runs, int64_t steps, const std::filesystem::path& folder) override {
    say({{"event", "batch"}, {"runs", runs}, {"steps", steps}, {"folder", folder.string()}});
  }
  void nothing_left(const std::filesystem::path& folder, const std::string& why) override {
    say({{"event", "nothing_left"}, {"folder", folder.string()}, {"message", why}});
  }
  void would_go_on(int64_t run, const Plan& plan, const std::filesystem::path& folder, int64_t logged_steps) override {
    goes_on(run, plan, folder, logged_steps);
  }
  void goes_on(int64_t run, const Plan& plan, const std::filesystem::path& folder, int64_t logged_steps) override {
    say({{"event", "goes_on"},
         {"run", run},
         {"prompt", plan.prompt},
         {"steps", plan.steps()},
         {"logged_steps", logged_steps},
         {"folder", folder.string()}});
  }
  void started(int64_t run, const Plan& plan, const Manifest& manifest, const std::filesystem::path& folder,
               int64_t logged_steps) override {
    ordered_json event = event_of("start", run, plan, manifest, folder);
    if (logged_steps > 0) event["logged_steps"] = logged_steps;
    say(event);
  }
  void planned(int64_t run, const Plan& plan, const Manifest& manifest, const std::filesystem::path& folder,
               int64_t frames) override {
    ordered_json event = event_of("plan", run, plan, manifest, folder);
    event["frames"] = frames;
    say(event);
  }
  void step(int64_t run, const StepRow& row) override { say(step_event(run, row)); }
  void frame(int64_t run, const Frame& frame) override {
    ordered_json event{{"event", "frame"},
                       {"run", run},
                       {"step", frame.step},
                       {"kind", name_of(frame.kind)},
                       {"file", frame.file},
                       {"decode_ms", frame.times.decode},
                       {"encode_ms", frame.times.encode},
                       {"write_ms", frame.times.write}};
    if (frame.change && frame.kind == FrameKind::x0) event.update(change_json(*frame.change));
    say(event);
  }
  void done(int64_t run, const Summary& summary) override {
    ordered_json event{{"event", "done"},
                       {"run", run},
                       {"status", summary.status},
                       {"folder", summary.folder.string()},
                       {"steps", summary.steps},
                       {"denoiser_calls", summary.denoiser_calls},
                       {"frames", summary.frames},
                       {"network_seconds", summary.network_seconds},
                       {"frame_seconds", summary.frame_seconds},
                       {"hidden_seconds", summary.hidden_seconds},
                       {"total_seconds", summary.total_seconds}};
    if (summary.left.empty()) {
      event["picture"] = summary.picture.string();
    } else {
      event["left"] = summary.left;
    }
    if (!summary.reason.empty()) event["reason"] = summary.reason;
    if (summary.would_stop) event["would_have_stopped"] = would_stop_json(*summary.would_stop);
    say(event);
  }
  void run_failed(int64_t run, const std::filesystem::path& folder, const Failure& failure) override {
    say({{"event", "run_failed"},
         {"run", run},
         {"folder", folder.string()},
         {"message", failure.message},
         {"exit_code", static_cast<int>(failure.code)}});
  }
  void batch_done(const BatchSummary& summary) override {
    say({{"event", "batch_done"},
         {"folder", summary.folder.string()},
         {"done", summary.done},
         {"interrupted", summary.interrupted},
         {"failed", summary.failed},
         {"not_begun", summary.not_begun},
         {"stopped", summary.stopped},
         {"frames", summary.frames},
         {"at_once", summary.at_once},
         {"denoiser_calls", summary.denoiser_calls},
         {"network_seconds", summary.network_seconds},
         {"total_seconds", summary.total_seconds}});
  }
  void warning(const std::string& text) override { say({{"event", "warning"}, {"message", text}}); }
  void failed(const Failure& failure) override {
    say({{"event", "error"}, {"message", failure.message}, {"exit_code", static_cast<int>(failure.code)}});
  }

 private:
  static ordered_json event_of(const char* name, int64_t run, const Plan& plan, const Manifest& manifest,
                               const std::filesystem::path& folder) {
    return {{"event", name},
            {"run", run},
            {"prompt", plan.prompt},
            {"seed", plan.recipe.seed},
            {"steps", plan.steps()},
            {"sampler", plan.recipe.sampler},
            {"schedule", plan.schedule},
            {"guidance_scale", plan.recipe.guidance.scale},
            {"width", plan.width},
            {"height", plan.height},
            {"model", manifest.name},
            {"folder", folder.string()}};
  }

  /// JSON has no infinity: equal pictures have a null PSNR and a mean difference of 0.
  static ordered_json change_json(const FrameChange& change) {
    ordered_json json{{"x0_mean_abs_change", change.mean_abs}, {"x0_psnr_change", nullptr}};
    if (std::isfinite(change.psnr)) json["x0_psnr_change"] = change.psnr;
    json["x0_compared_step"] = change.compared_step;
    return json;
  }

  static ordered_json step_event(int64_t run, const StepRow& row) {
    const auto maybe = [](const std::optional<double>& value) { return value ? ordered_json(*value) : ordered_json(); };
    return {{"event", "step"},
            {"run", run},
            {"step", row.step},
            {"timestep", maybe(row.level.timestep)},
            {"alpha", row.level.alpha},
            {"sigma", row.level.sigma},
            {"latents_rms_change", row.latents_rms_change},
            {"x0_rms_change", maybe(row.x0_rms_change)},
            {"guidance_norm", maybe(row.guidance_norm)},
            {"denoiser_calls", row.denoiser_calls},
            {"denoiser_ms", row.denoiser_ms}};
  }

  void say(const ordered_json& event) {
    const std::lock_guard guard(mutex_);
    std::cout << event.dump(-1, ' ', false, ordered_json::error_handler_t::replace) << std::endl;
  }

  std::mutex mutex_;
};

}  // namespace

void Progress::planned(int64_t, const Plan& plan, const Manifest& manifest, const std::filesystem::path& folder,
                       int64_t frames) {
  const Recipe& recipe = plan.recipe;
  std::cout << "would draw " << starting_line(plan, manifest, folder) << "\nschedule " << plan.schedule
            << (plan.usual_schedule ? worded(" (usual for " + recipe.sampler + "; `schedule` bundle is " +
                                             manifest.training_noise.timestep_spacing + ")")
                                    : "")
            << ", guidance scale " << recipe.guidance.scale << ", eta " << recipe.options.eta << ": "
            << calls_text(plan) << ", " << counted(frames, "frame") << "\n";
}

void Progress::nothing_left(const std::filesystem::path& folder, const std::string& why) {
  std::cout << folder.string() << ": " << why << '\n';
}

void Progress::would_go_on(int64_t, const Plan& plan, const std::filesystem::path& folder, int64_t logged_steps) {
  std::cout << going_on_line(plan, folder, logged_steps, "would go on") << '\n';
}

void Progress::run_failed(int64_t, const std::filesystem::path& folder, const Failure& failure) {
  std::cerr << failed_line(folder, failure) << std::endl;
}

void Progress::warning(const std::string& text) { std::cerr << warning_line(text) << std::endl; }

std::unique_ptr<Progress> make_progress(ProgressMode mode, bool show) {
  if (show && !shows_colours(STDERR_FILENO))
    throw UsageError("`show`: standard error is no terminal that could show pictures; leave it out");
  if (mode == ProgressMode::automatic) mode = isatty(STDERR_FILENO) ? ProgressMode::bar : ProgressMode::lines;
  if (show && mode != ProgressMode::bar)
    throw UsageError("`show`: pictures stand above the progress bar; leave out `progress`, or `show`");
  switch (mode) {
    case ProgressMode::bar: return std::make_unique<Bar>(show);
    case ProgressMode::lines: return std::make_unique<Lines>();
    case ProgressMode::json: return std::make_unique<Json>();
    default: return std::make_unique<Progress>();
  }
}

}  // namespace steplapse
