#include "studies/compare.h"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file_io.h"
#include "base/machine.h"
#include "base/number_text.h"
#include "base/shape_text.h"
#include "base/terminal.h"
#include "base/text.h"
#include "record/history.h"
#include "record/run_folder.h"
#include "runs/run_model.h"
#include "sampling/schedule_json.h"
#include "steplapse/bundle.h"
#include "steplapse/error.h"
#include "steplapse/run_log.h"
#include "studies/compare_report.h"
#include "views/contact_sheet.h"
#include "views/picture_file.h"
#include "views/run_tables.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostColumns = 8;  // of the sheet, beside the final pictures

/// A run, as far as its folder has it.
struct RunToCompare {
  fs::path folder;
  nlohmann::json facts;
  ComparedRun run;
  std::map<int64_t, std::string> frames;  ///< files of x0 by step, in the folder
};

RunToCompare read_run(const fs::path& path) {
  const fs::path folder = existing_run(path);
  const RunLog log = RunLog::open(log_in(folder));
  const History history = history_of(log);
  RunToCompare read{folder, nlohmann::json::parse(log.facts_json()), {{}, history.last_estimate()}, {}};
  for (const HistoryStep& step : history.steps)
    read.run.estimates.push_back({step.step.number, step.level(), step.step.x0});
  if (read.run.estimates.empty())
    throw UsageError(in_quotes(folder.string()) + ": its log ends before its first step; there is nothing to compare");
  read.frames = frame_files(read.facts, FrameKind::x0);
  return read;
}

std::vector<RunToCompare> read_runs(const std::vector<fs::path>& paths) {
  std::vector<RunToCompare> runs;
  for (const fs::path& path : paths) {
    runs.push_back(read_run(path));
    const auto wanted = runs.front().run.end.sizes(), found = runs.back().run.end.sizes();
    if (wanted == found) continue;
    throw UsageError(in_quotes(path.string()) + ": its latents are " + shape_text(found) + ", those of " +
                     in_quotes(paths.front().string()) + " are " + shape_text(wanted) +
                     "; only latents of one shape can be compared");
  }
  return runs;
}

std::string text_at(const nlohmann::json& facts, const char* key) {
  const auto found = facts.find(key);
  return found == facts.end() || !found->is_string() ? "" : found->get<std::string>();
}

std::string ending_of(const RunToCompare& read) {
  const std::string ended = text_at(read.facts, "ended"), reason = text_at(read.facts, "ended_reason");
  return (ended.empty() ? "unfinished" : ended) + (reason.empty() ? "" : " (" + reason + ")") + ", " +
         counted(static_cast<int64_t>(read.run.estimates.size()), "step");
}

// ---- settings that differ ---------------------------------------------------------------------------------------------

/// What says nothing of how the picture was made.
bool is_setting(const std::string& key) {
  static const std::set<std::string> others{"started", "ended",   "ended_reason",     "frame_steps", "number",
                                            "runs",    "warning", "init_noise_shape", "decoder",     "facts_sha256"};
  return !others.contains(key) && !key.ends_with("_seconds");
}

std::string levels_text(const std::string& json) {
  const Schedule schedule = schedule_from_json(nlohmann::json::parse(json));
  const NoiseLevel& first = schedule.levels.front();
  return std::to_string(schedule.levels.size()) + " from " +
         (first.timestep ? "timestep " + plain(*first.timestep) : "sigma " + plain(noise_ratio(first)));
}

std::string value_text(const std::string& key, const nlohmann::json& facts) {
  const auto found = facts.find(key);
  if (found == facts.end()) return "-";
  if (key == "levels") return levels_text(found->get<std::string>());
  if (found->is_number_float()) return plain(found->get<double>());
  if (found->is_null()) return "none";
  const std::string text = found->is_string() ? found->get<std::string>() : found->dump();
  return key == "model_sha256" ? text.substr(0, 12) : escaped(text, 40);
}

std::vector<DifferentSetting> different_settings(const std::vector<RunToCompare>& runs) {
  std::set<std::string> keys;
  for (const RunToCompare& read : runs) {
    for (const auto& [key, value] : read.facts.items()) {
      if (is_setting(key)) keys.insert(key);
    }
  }
  std::vector<DifferentSetting> settings;
  for (const std::string& key : keys) {
    const auto value = [&](const RunToCompare& read) { return read.facts.value(key, nlohmann::json::object()); };
    const bool same = std::all_of(runs.begin(), runs.end(),
                                  [&](const RunToCompare& read) { return value(read) == value(runs.front()); });
    if (same) continue;
    DifferentSetting setting{key, {}};
    for (const RunToCompare& read : runs) setting.values.push_back(value_text(key, read.facts));
    settings.push_back(std::move(setting));
  }
  return settings;
}

bool all_have_one(const std::vector<RunToCompare>& runs, const char* key) {
  return std::all_of(runs.begin(), runs.end(), [&](const RunToCompare& read) {
    return text_at(read.facts, key) == text_at(runs.front().facts, key);
  });
}

// ---- pictures ---------------------------------------------------------------------------------------------------------

/// Pictures of x0: frames that lie in the run folders, or decoded.
class Pictures {
 public:
  Pictures(const CompareOptions& options, const std::vector<RunToCompare>& runs)
      : options_(options), runs_(runs), frames_fit_(all_have_one(runs, "decoder")) {
    if (!options.decoder.empty()) load(options.decoder);
  }

  /// Whether this step can be shown as it is.
  bool has(size_t run, int64_t step) const { return bundle_ || (frames_fit_ && is_there(run, step)); }

  Picture of(size_t run, const EstimateAt& at) const {
    if (bundle_) return picture_of(bundle_->decode(decoder_, at.x0), "x0");
    return read_picture(runs_[run].folder / runs_[run].frames.at(static_cast<int64_t>(at.step)));
  }

  bool can_compare(size_t run, const EstimateAt& at) const {
    return at.is_interpolated ? bundle_.has_value() : has(run, static_cast<int64_t>(at.step));
  }

  void load(const std::string& decoder) {
    if (!all_have_one(runs_, "model_sha256"))
      throw UsageError("`decoder`: the runs are of different models, and one's decoder can't show the other's latents");
    BundleFolder folder = bundle_of(made_with(runs_.front().folder, runs_.front().facts.dump()), options_.running.model,
                                    options_.usual_model);
    set_threads(options_.running.threads);
    decoder_ = decoder.empty() ? "full" : decoder;
    bundle_.emplace(load_bundle(std::move(folder), options_.running.device, {decoder_}));
  }

 private:
  bool is_there(size_t run, int64_t step) const {
    const auto frame = runs_[run].frames.find(step);
    std::error_code unreadable;
    return frame != runs_[run].frames.end() && fs::exists(runs_[run].folder / frame->second, unreadable);
  }

  const CompareOptions& options_;
  const std::vector<RunToCompare>& runs_;
  const bool frames_fit_;
  std::string decoder_;
  std::optional<Bundle> bundle_;
};

/// Root mean square of the difference of pixels; none where the sizes differ.
std::optional<double> pixel_distance(const Picture& a, const Picture& b) {
  if (a.width != b.width || a.height != b.height) return std::nullopt;
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) {
    const double difference = static_cast<double>(a.rgb[i]) - b.rgb[i];
    sum += difference * difference;
  }
  return std::sqrt(sum / static_cast<double>(a.rgb.size()));
}

std::vector<std::vector<std::optional<double>>> distances_of_pictures(const Comparison& comparison,
                                                                      const Pictures& pictures) {
  std::vector<std::vector<std::optional<double>>> distances;
  for (const Comparison::Point& point : comparison.points) {
    const EstimateAt first{point.first.x0, static_cast<double>(point.first.step)};
    std::optional<Picture> picture;
    auto& row = distances.emplace_back();
    for (size_t i = 0; i < point.others.size(); ++i) {
      const auto& at = point.others[i].at;
      row.emplace_back();
      if (!at || !pictures.can_compare(0, first) || !pictures.can_compare(i + 1, *at)) continue;
      if (!picture) picture = pictures.of(0, first);
      row.back() = pixel_distance(*picture, pictures.of(i + 1, *at));
    }
  }
  return distances;
}

std::optional<Picture> final_picture(const RunToCompare& read) { return picture_if_there(read.folder / "final.png"); }

std::vector<std::optional<double>> distances_of_final_pictures(const std::vector<RunToCompare>& runs) {
  const auto first = final_picture(runs.front());
  std::vector<std::optional<double>> distances;
  for (size_t run = 1; run < runs.size(); ++run) {
    const auto other = final_picture(runs[run]);
    distances.push_back(first && other ? pixel_distance(*first, *other) : std::nullopt);
  }
  return distances;
}

// ---- the sheet --------------------------------------------------------------------------------------------------------

/// The step of a run that comes nearest to a point: its own x0 is shown, not an interpolated one.
const Estimate& nearest_to(const Estimate& point, const ComparedRun& run, Alignment alignment) {
  const auto away = [&](const Estimate& estimate) {
    if (alignment == Alignment::step) return std::abs(static_cast<double>(estimate.step - point.step));
    const double a = noise_ratio(estimate.level), b = noise_ratio(point.level);
    return a == b ? 0 : std::abs(std::log(a / b));
  };
  return *std::min_element(run.estimates.begin(), run.estimates.end(),
                           [&](const Estimate& a, const Estimate& b) { return away(a) < away(b); });
}

/// Steps of the first run, evenly chosen; of those that can be shown, if some can.
std::vector<const Estimate*> columns_of(const std::vector<RunToCompare>& runs, const Pictures& pictures) {
  std::vector<const Estimate*> shown;
  for (const bool all : {false, true}) {
    for (const Estimate& estimate : runs.front().run.estimates) {
      if (all || pictures.has(0, estimate.step)) shown.push_back(&estimate);
    }
    if (!shown.empty()) break;
  }
  if (shown.size() <= kMostColumns) return shown;
  std::vector<const Estimate*> chosen;
  for (size_t i = 0; i < kMostColumns; ++i) chosen.push_back(shown[i * (shown.size() - 1) / (kMostColumns - 1)]);
  return chosen;
}

std::string label_of(const Estimate& estimate) {
  return "step " + std::to_string(estimate.step) + ", sigma " + rounded_text(noise_ratio(estimate.level), 3);
}

std::string sheet_of(const CompareOptions& options, const std::vector<RunToCompare>& runs, Pictures& pictures) {
  const auto columns = columns_of(runs, pictures);
  const auto shown = [&](size_t run, size_t column) -> const Estimate& {
    return run == 0 ? *columns[column] : nearest_to(*columns[column], runs[run].run, options.alignment);
  };
  for (size_t run = 0; run < runs.size(); ++run) {
    for (size_t column = 0; column < columns.size(); ++column) {
      if (!pictures.has(run, shown(run, column).step)) pictures.load(text_at(runs.front().facts, "decoder"));
    }
  }
  std::vector<SheetRow> rows;
  for (size_t run = 0; run < runs.size(); ++run) {
    SheetRow row{std::to_string(run + 1) + "  " + runs[run].folder.string(), {}};
    for (size_t column = 0; column < columns.size(); ++column) {
      const Estimate& estimate = shown(run, column);
      row.cells.push_back({pictures.of(run, {estimate.x0, static_cast<double>(estimate.step)}), label_of(estimate)});
    }
    if (auto picture = final_picture(runs[run])) row.cells.push_back({std::move(picture), "final.png"});
    rows.push_back(std::move(row));
  }
  return png_of({.rows = std::move(rows)});
}

// ---- the end ----------------------------------------------------------------------------------------------------------

bool is_further_than(const CompareReport& report, double most) {
  const size_t others = report.comparison.ends.size();
  for (size_t i = 0; i < others; ++i) {
    if (!report.same_model && !report.final_pictures[i])
      throw UsageError("`max_distance`: " + in_quotes(report.runs[i + 1].string()) +
                       ": is of another model, and one of the two has no final.png of the same size to compare");
    if ((report.same_model ? report.comparison.ends[i] : *report.final_pictures[i]) > most) return true;
  }
  return false;
}

}  // namespace

int compare(const CompareOptions& options) {
  for (const fs::path& file : {options.csv, options.sheet}) {
    if (!file.empty()) check_writable(file, options.overwrite);
  }
  const std::vector<RunToCompare> runs = read_runs(options.runs);
  Pictures pictures(options, runs);
  CompareReport report{.runs = {},
                       .endings = {},
                       .settings = different_settings(runs),
                       .alignment = options.alignment,
                       .share = options.share,
                       .same_model = all_have_one(runs, "model_sha256"),
                       .comparison = {},
                       .pictures = {},
                       .final_pictures = distances_of_final_pictures(runs)};
  std::vector<ComparedRun> compared;
  for (const RunToCompare& read : runs) {
    report.runs.push_back(read.folder);
    report.endings.push_back(ending_of(read));
    compared.push_back(read.run);
  }
  report.comparison = compare_runs(compared, options.alignment, options.share);
  report.pictures = distances_of_pictures(report.comparison, pictures);
  const bool too_far = options.max_distance && is_further_than(report, *options.max_distance);
  if (!options.csv.empty()) write_whole(options.csv, compare_csv(report));
  if (!options.sheet.empty()) write_whole(options.sheet, sheet_of(options, runs, pictures));
  std::cout << (options.json ? compare_json(report) : compare_table(report, output_columns())) << std::flush;
  return too_far ? 1 : 0;
}

}  // namespace steplapse
