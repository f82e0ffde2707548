#include "studies/sweep/sweep_estimate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/aten.h"
#include "base/json_null.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "runs/prompt_encoder.h"
#include "runs/step_cost.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr double kSecondsOfRun = 0.03;  // its files, as measured on a local disk
constexpr double kQuickCall = 0.25;     // seconds: then a batch is tried too

double seconds_of_call(const Bundle& bundle, const std::vector<int64_t>& shape, double timestep,
                       const std::vector<Tensor>& told, int64_t rows) {
  std::vector<int64_t> batch = shape;
  batch.front() = rows;
  const Tensor x = at::randn(batch, at::detail::createCPUGenerator(0));
  std::vector<Tensor> conditioning;
  for (const Tensor& tensor : told) {
    std::vector<int64_t> repeats(static_cast<size_t>(tensor.dim()), 1);
    repeats.front() = rows;
    conditioning.push_back(tensor.repeat(repeats));
  }
  const Stopwatch since_start;
  bundle.denoise(x, at::full({rows}, timestep, at::kFloat), conditioning);
  return since_start.seconds();
}

std::string grouped(int64_t number) {
  std::string digits = std::to_string(number);
  for (auto place = std::ssize(digits) - 3; place > 0; place -= 3) digits.insert(static_cast<size_t>(place), ",");
  return digits;
}

std::string counted_large(int64_t number, const std::string& what) {
  return grouped(number) + " " + what + (number == 1 ? "" : "s");
}

std::string megabytes(int64_t bytes) {
  const double mega = static_cast<double>(bytes) / 1e6;
  return mega < 1000 ? plain(std::max(1.0, std::round(mega))) + " MB" : plain(std::round(mega / 100) / 10) + " GB";
}

std::string axes_text(const SweepPlan& plan) {
  std::vector<std::string> sizes;
  for (const SweepAxis& axis : plan.axes) sizes.push_back(std::to_string(axis.points.size()) + " " + axis.name);
  return sizes.empty() ? "" : " (" + escaped(joined(sizes, " x "), 200) + ")";
}

std::string calls_text(const SweepSurvey& survey) {
  const SizeWork work = survey.work();
  const int64_t shared = work.calls - work.asked_calls;
  std::string text = counted_large(work.calls, "denoiser call");
  if (shared > 0)
    text += ", " + grouped(work.asked_calls) + (survey.shares_more ? " at most" : "") + " to ask: " + grouped(shared) +
            (survey.shares_more ? " or more" : "") + " are shared";
  if (survey.may_stop) text += "; fewer where pictures settle";
  if (survey.sampler_decides) text += "; a guess, since some samplers choose how often they ask";
  return text;
}

}  // namespace

NetworkCost probe(const Bundle& bundle, const Task& cell) {
  const Plan& plan = cell.plan;
  const std::vector<int64_t> shape = latents_shape(bundle.manifest(), {plan.width, plan.height});
  PromptEncoder prompts(bundle);
  const std::vector<Tensor> told = prompts.guidance_of(plan).rbegin()->second.cond;
  const double timestep = plan.recipe.schedule.levels.front().timestep.value_or(0);
  const auto call = [&](int64_t rows) { return seconds_of_call(bundle, shape, timestep, told, rows); };
  call(1);  // a program's first call takes longer
  NetworkCost cost{.row = std::min(call(1), call(1)), .decode = 0};
  if (cost.row < kQuickCall) {
    constexpr int64_t kRows = 16;
    call(kRows);
    cost.row = std::min(cost.row, call(kRows) / kRows);
  }
  const Tensor latents = at::zeros(shape, at::kFloat);
  if (cost.row < kQuickCall) bundle.decode("full", latents);
  const Stopwatch since_start;
  bundle.decode("full", latents);
  cost.decode = since_start.seconds();
  return cost;
}

double estimated_seconds(const Bundle& bundle, const SweepSurvey& survey, const SweepCells& cells) {
  const Task typical = cells.task(survey.typical_cell, {});
  const NetworkCost cost = probe(bundle, typical);
  const auto pixels = static_cast<double>(typical.plan.width * typical.plan.height);
  double seconds = kSecondsOfRun * static_cast<double>(survey.cells - survey.refused);
  for (const auto& [size, work] : survey.by_size) {
    const double share = static_cast<double>(size.first * size.second) / pixels;
    seconds +=
        share * (cost.row * static_cast<double>(work.asked_rows) + cost.decode * static_cast<double>(work.decodes));
  }
  return seconds;
}

std::string time_text(double seconds) {
  return seconds < 90 ? "about " + counted(std::max<int64_t>(1, std::llround(seconds)), "second") : rough_time(seconds);
}

int64_t free_bytes_at(const fs::path& folder) {
  std::error_code error;
  fs::path place = fs::absolute(folder.empty() ? "." : folder, error);
  while (!fs::exists(place, error) && place.has_parent_path() && place != place.parent_path())
    place = place.parent_path();
  const fs::space_info space = fs::space(place, error);
  return error ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(space.available);
}

void check_room(const fs::path& folder, int64_t bytes, int64_t free_bytes) {
  if (bytes <= free_bytes) return;
  throw OutputError((folder.empty() ? "." : folder.string()) + ": the sweep takes about " + megabytes(bytes) +
                    ", and " + megabytes(free_bytes) +
                    " are free there; sweep over less, or name an `out` on another disk");
}

std::vector<std::string> survey_lines(const SweepPlan& plan, const SweepSurvey& survey, int64_t free_bytes,
                                      std::optional<double> seconds, const std::string& device) {
  std::vector<std::string> lines;
  lines.push_back(counted_large(static_cast<int64_t>(survey.cells), "cell") + axes_text(plan));
  if (survey.refused > 0) lines.push_back(refused_text(plan, survey.refused_kinds) + "; they are left out");
  lines.push_back(calls_text(survey));
  lines.push_back(counted_large(survey.work().decodes, "picture") + " to decode, " + "about " +
                  counted_large(survey.files, "file") + " and " + megabytes(survey.bytes) + " of the " +
                  megabytes(free_bytes) + " that are free");
  if (seconds) lines.push_back(time_text(*seconds) + " on " + device + ", by a few calls of its networks");
  return lines;
}

ordered_json survey_json(const SweepPlan& plan, const SweepSurvey& survey, int64_t free_bytes,
                         std::optional<double> seconds, const std::string& device) {
  ordered_json axes = ordered_json::array(), refused = ordered_json::array();
  for (const SweepAxis& axis : plan.axes) axes.push_back({{"name", axis.name}, {"values", axis.points.size()}});
  constexpr size_t kShown = 1000;
  for (size_t i = 0; i < std::min(kShown, survey.refused_kinds.size()); ++i) {
    const RefusedKind& kind = survey.refused_kinds[i];
    refused.push_back({{"cell", kind.first_cell + 1}, {"reason", kind.reason}});
  }
  const SizeWork work = survey.work();
  return {{"cells", survey.cells},
          {"axes", axes},
          {"left_out", survey.refused},
          {"left_out_kinds", refused},
          {"denoiser_calls", work.calls},
          {"calls_to_ask", work.asked_calls},
          {"calls_are_at_most", survey.may_stop || survey.shares_more},
          {"calls_are_guessed", survey.sampler_decides},
          {"rows_to_ask", work.asked_rows},
          {"decodes", work.decodes},
          {"files", survey.files},
          {"bytes", survey.bytes},
          {"free_bytes", free_bytes},
          {"seconds", or_null(seconds)},
          {"device", device}};
}

}  // namespace steplapse
