#include "studies/sweep/cell_run.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "base/aten.h"
#include "base/file_io.h"
#include "base/png_reader.h"
#include "base/safetensors.h"
#include "base/sha256.h"
#include "record/facts.h"
#include "record/origin.h"
#include "record/run_folder.h"
#include "record/run_state.h"
#include "runs/origin.h"
#include "runs/resume.h"
#include "steplapse/error.h"
#include "steplapse/run_log.h"
#include "steplapse/sampler.h"
#include "views/explanation.h"
#include "views/picture.h"
#include "views/spectrum.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLargestPicture = size_t{1} << 40;

int64_t peak_memory_here() {
  struct rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{1024} * usage.ru_maxrss;
}

bool draws_fresh_noise(const Recipe& recipe) {
  const Sampler& sampler = sampler_named(recipe.sampler);
  return sampler.fresh_noise || (sampler.eta && recipe.options.eta > 0) ||
         (sampler.churns && recipe.options.s_churn > 0);
}

/// How much of the picture's lightness lies in details.
double power_of_details(const fs::path& png) {
  PngContent content = read_png(png);
  const Picture picture{content.width, content.height, std::move(content.rgb)};
  static_assert(std::string_view(kFrequencyBands.back().name) == "details");
  return rms_by_band(luminance_of(picture)).back();
}

std::optional<int64_t> settles_at(const std::vector<StepRow>& steps, const Tensor& final_latents) {
  const double near = kSettled * rms_of(final_latents);
  return holds_from(std::ssize(steps), [&](int64_t step) {
    const auto& distance = steps[static_cast<size_t>(step) - 1].x0_rms_to_final;
    return distance && *distance <= near;
  });
}

int64_t calls_without_network(const RunLog& log) {
  int64_t shared = 0;
  for (int64_t number = 1; number <= log.calls(); ++number) shared += log.call(number)->answer.milliseconds == 0;
  return shared;
}

std::optional<double> seconds_in(const nlohmann::json& facts, const char* key) {
  return facts.contains(key) ? std::optional(facts.at(key).get<double>()) : std::nullopt;
}

std::optional<int64_t> would_stop_in(const nlohmann::json& facts) {
  if (!facts.contains("would_have_stopped")) return std::nullopt;
  const auto found = nlohmann::json::parse(facts.at("would_have_stopped").get<std::string>());
  return found.at("step").is_null() ? std::nullopt : std::optional(found.at("step").get<int64_t>());
}

void take_log(CellRow& row, const RunLog& log, const Tensor& final_latents, std::optional<int64_t> shared_calls) {
  const auto logged = nlohmann::json::parse(log.facts_json());
  const Facts facts = log.facts();
  const std::vector<StepRow> steps = log.steps();
  row.status = logged.value("ended", "");
  row.reason = logged.value("ended_reason", "");
  row.settings = settings_json(facts);
  row.stochastic = draws_fresh_noise(facts.recipe);
  row.steps = std::ssize(steps);
  row.denoiser_calls = log.calls();
  row.shared_calls = shared_calls ? *shared_calls : calls_without_network(log);
  if (!steps.empty()) row.first_timestep = steps.front().level.timestep;
  row.settles = settles_at(steps, final_latents);
  row.would_stop = would_stop_in(logged);
  row.network_seconds = seconds_in(logged, "network_seconds");
  row.decode_seconds = seconds_in(logged, "frame_seconds");
}

/// Whether a log is of the run that a task asks for, as far as its result goes.
bool is_of_task(const RunState& run, const Task& task, const std::string& model_sha256) {
  const Origin wanted = origin_of(task, run.origin);
  return run.origin.model_sha256 == model_sha256 && settings_json(run.facts) == settings_json(task.plan) &&
         run.facts.recipe.schedule.levels == task.plan.recipe.schedule.levels && run.origin.frames == wanted.frames &&
         run.origin.number == wanted.number && run.origin.decoder == wanted.decoder &&
         run.origin.stop_at == wanted.stop_at && run.origin.stop_when_converged == wanted.stop_when_converged &&
         run.origin.would_stop == wanted.would_stop;
}

}  // namespace

CellRow row_of_run(size_t cell, const fs::path& sweep, const fs::path& folder, std::optional<int64_t> shared_calls) {
  CellRow row{.cell = cell, .status = "", .folder = folder.lexically_relative(sweep).string()};
  const RunLog log = RunLog::open(log_in(folder));
  take_log(row, log, read_safetensors(folder / "final.safetensors").at("latents"), shared_calls);
  row.final_sha256 = sha256(read_whole(folder / "final.png", kLargestPicture));
  row.high_frequency_power = power_of_details(folder / "final.png");
  row.peak_memory = peak_memory_here();
  return row;
}

CellRow row_without_run(size_t cell, const std::string& status, const std::string& reason, const std::string& folder) {
  return {.cell = cell, .status = status, .reason = reason, .folder = folder};
}

std::optional<std::string> fault_of(const CellRow& row, const fs::path& sweep) {
  const fs::path folder = sweep / row.folder;
  std::error_code unreadable;
  if (!fs::exists(log_in(folder), unreadable)) return "its log is missing";
  if (!fs::exists(folder / "final.png", unreadable)) return "final.png is missing";
  try {
    const Descriptor file(::open((folder / "final.png").c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) return "final.png cannot be read";
    if (sha256_of_descriptor(file.number()) != row.final_sha256) return "final.png is not as its row says";
  } catch (const std::exception&) {
    return "final.png cannot be read";
  }
  return std::nullopt;
}

CellRun look_at_run(Task& task, const std::string& model_sha256, bool repairs) {
  std::error_code unreadable;
  if (!fs::exists(log_in(task.folder), unreadable)) return CellRun::absent;
  try {
    const RunState run = state_of(task.folder);
    if (!run.is_of_this_folder || !is_of_task(run, task, model_sha256)) return CellRun::absent;
    if (run.is_over() && !repairs && fs::exists(task.folder / "final.png", unreadable)) return CellRun::complete;
    task.logged = logged_part(task.folder);
    return CellRun::begun;
  } catch (const std::exception&) {  // the log is damaged, or nothing is in it yet
    return CellRun::absent;
  }
}

}  // namespace steplapse
