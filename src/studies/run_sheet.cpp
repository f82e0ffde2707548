#include "studies/run_sheet.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/aten.h"
#include "base/number_text.h"
#include "base/text.h"
#include "runs/run_title.h"
#include "steplapse/error.h"
#include "views/canvas.h"
#include "views/explanation.h"
#include "views/latents_picture.h"
#include "views/settled_sheet.h"

namespace steplapse {
namespace {

const std::map<FrameKind, std::string>& meanings() {
  static const std::map<FrameKind, std::string> meanings{
      {FrameKind::x0, "x0: what the network takes the picture for"},
      {FrameKind::xt, "xt: the noisy latents after the step, decoded"},
      {FrameKind::diff, "diff: where x0 changed in the step"},
      {FrameKind::signed_diff, "signed_diff: how each colour of x0 changed in the step"},
      {FrameKind::cond, "cond: x0 by the answer to the prompt alone"},
      {FrameKind::uncond, "uncond: x0 by the answer to the negative prompt alone"}};
  return meanings;
}

// ---- change -----------------------------------------------------------------------------------------------------------

/// By step, how far a kind's latents moved in it, as rms. Of a diff x0's.
std::map<int64_t, double> changes_of(const RunPictures& run, FrameKind kind) {
  std::map<int64_t, double> changes;
  if (kind == FrameKind::cond || kind == FrameKind::uncond) {
    const std::vector<int64_t> steps = run.steps(kind);
    for (size_t i = 1; i < steps.size(); ++i)
      changes[steps[i]] = rms_of(run.latents(kind, steps[i]) - run.latents(kind, steps[i - 1]));
    return changes;
  }
  for (const StepRow& row : run.rows()) {
    const auto change = kind == FrameKind::xt ? std::optional(row.latents_rms_change) : row.x0_rms_change;
    if (change) changes[row.step] = *change;
  }
  return changes;
}

double largest_of(const std::map<int64_t, double>& changes) {
  double largest = 0;
  for (const auto& [step, change] : changes) largest = std::max(largest, change);
  return largest;
}

std::optional<double> bar_of(const std::map<int64_t, double>& changes, int64_t step, double largest) {
  const auto change = changes.find(step);
  if (change == changes.end()) return std::nullopt;
  return largest > 0 ? change->second / largest : 0;
}

// ---- rows -------------------------------------------------------------------------------------------------------------

/// A run on the sheet, and the steps of it that are shown.
struct ShownRun {
  RunPictures pictures;
  std::vector<int64_t> steps = {};
};

std::vector<NoiseLevel> levels_of(const RunPictures& run) {
  std::vector<NoiseLevel> levels;
  for (const int64_t step : run.steps(FrameKind::x0)) levels.push_back(run.level(FrameKind::x0, step));
  return levels;
}

std::vector<int64_t> chosen_steps(const RunPictures& run, const SheetOptions& options) {
  std::vector<int64_t> steps;
  for (const size_t i : spread_evenly(places_of(run.rows(), options.pace), static_cast<size_t>(options.columns)))
    steps.push_back(run.rows()[i].step);
  return steps;
}

/// The steps of another run that come nearest to the noise of the first one's.
std::vector<int64_t> steps_beside(const RunPictures& run, const ShownRun& first) {
  std::vector<int64_t> steps;
  for (const int64_t step : first.steps) {
    const size_t nearest = nearest_level(levels_of(run), first.pictures.level(FrameKind::x0, step));
    steps.push_back(run.steps(FrameKind::x0).at(nearest));
  }
  return steps;
}

std::vector<ShownRun> shown_runs(const SheetOptions& options) {
  std::vector<ShownRun> runs;
  runs.push_back({RunPictures(options.run, options.pictures)});
  runs.front().steps = chosen_steps(runs.front().pictures, options);
  for (const std::filesystem::path& other : options.others) {
    runs.push_back({RunPictures(other, options.pictures)});
    runs.back().steps = steps_beside(runs.back().pictures, runs.front());
  }
  return runs;
}

SheetCell labelled_cell(const RunPictures& run, FrameKind kind, int64_t step) {
  const NoiseLevel& level = run.level(kind, step);
  return {.picture = {},
          .label = "step " + std::to_string(step),
          .detail = (level.timestep ? "t " + rounded_text(*level.timestep, 4) + ", " : "") + "sigma " +
                    rounded_text(noise_ratio(level), 3)};
}

SheetRow row_of(ShownRun& run, FrameKind kind, const std::string& name, double largest) {
  SheetRow row{name, {}};
  const std::vector<int64_t> there = run.pictures.steps(kind);
  const auto changes = changes_of(run.pictures, kind);
  for (const int64_t step : run.steps) {
    SheetCell cell = labelled_cell(run.pictures, kind, step);
    if (std::find(there.begin(), there.end(), step) != there.end()) cell.picture = run.pictures.picture(kind, step);
    cell.change = bar_of(changes, step, largest);
    row.cells.push_back(std::move(cell));
  }
  return row;
}

SheetRow channel_row(const ShownRun& run, int64_t channel, const std::string& name, double largest) {
  SheetRow row{name, {}};
  const auto changes = changes_of(run.pictures, FrameKind::xt);
  for (const int64_t step : run.steps) {
    SheetCell cell = labelled_cell(run.pictures, FrameKind::xt, step);
    cell.picture =
        channel_picture(run.pictures.latents(FrameKind::xt, step), channel, run.pictures.level(FrameKind::xt, step));
    cell.change = bar_of(changes, step, largest);
    row.cells.push_back(std::move(cell));
  }
  return row;
}

// ---- the sheet --------------------------------------------------------------------------------------------------------

class RunSheet {
 public:
  explicit RunSheet(const SheetOptions& options) : options_(options), runs_(shown_runs(options)) {
    sheet_.scale = options.scale;
    head();
    for (const FrameKind kind : options.rows) add_rows(kind);
    if (options.latents) add_channels();
    notes();
  }

  std::string png() const {
    const RunPictures& first = runs_.front().pictures;
    return png_of(sheet_, is_alone() ? texts_of(first, "sheet") : std::vector<PngText>{});
  }

 private:
  bool is_alone() const { return runs_.size() == 1; }

  void head() {
    const RunPictures& first = runs_.front().pictures;
    sheet_.title = is_alone() ? first.facts().prompt : counted(std::ssize(runs_), "run") + " at the same noise";
    if (is_alone()) sheet_.about = settings_line(first);
  }

  /// @param meaning  "x0: what it is"; of several runs there is room for what stands before the colon alone
  std::string name_of_row(size_t run, const std::string& meaning, double largest) const {
    const std::string bar = " (a full bar is a change of " + rounded_text(largest, 2) + ")";
    if (is_alone()) return meaning + bar;
    const RunPictures& pictures = runs_[run].pictures;
    return std::to_string(run + 1) + "  " + meaning.substr(0, meaning.find(':')) + bar + "  " +
           pictures.folder().string() + ": " + pictures.facts().prompt + "; " + settings_line(pictures);
  }

  double largest_change(FrameKind kind) const {
    double largest = 0;
    for (const ShownRun& run : runs_) largest = std::max(largest, largest_of(changes_of(run.pictures, kind)));
    return largest;
  }

  void add_rows(FrameKind kind) {
    const double largest = largest_change(kind);
    bool is_there = false;
    for (size_t i = 0; i < runs_.size(); ++i) {
      is_there |= !runs_[i].pictures.steps(kind).empty();
      sheet_.rows.push_back(row_of(runs_[i], kind, name_of_row(i, meanings().at(kind), largest), largest));
    }
    if (is_there) return;
    throw UsageError("`rows` " + std::string(name_of(kind)) +
                     (is_diff(kind) ? ": compares two steps, and there is one"
                                    : ": the network was not asked for that answer; leave it out"));
  }

  void add_channels() {
    const double largest = largest_change(FrameKind::xt);
    for (size_t i = 0; i < runs_.size(); ++i) {
      const int64_t channels = runs_[i].pictures.history().start.size(1);
      for (int64_t channel = 0; channel < channels; ++channel) {
        const std::string name = "latents, channel " + std::to_string(channel + 1) + " of " + std::to_string(channels);
        sheet_.rows.push_back(channel_row(runs_[i], channel, name_of_row(i, name, largest), largest));
      }
    }
  }

  void notes() {
    const bool has_xt =
        options_.latents || std::find(options_.rows.begin(), options_.rows.end(), FrameKind::xt) != options_.rows.end();
    sheet_.notes.push_back("t: timestep; sigma: noise over signal, sigma / alpha; both as the step begins" +
                           std::string(has_xt ? ", for xt and latents as it ends" : "") +
                           ". Bar: how far the row's latents moved in the step, as rms.");
    for (const FrameKind kind : options_.rows) {
      if (kind == FrameKind::diff) sheet_.notes.push_back("diff: " + std::string(kHeatMapScale) + ".");
      if (kind == FrameKind::signed_diff) sheet_.notes.push_back("signed_diff: " + std::string(kSignedMapScale) + ".");
    }
    if (options_.latents) sheet_.notes.push_back("latents: " + std::string(kChannelScale) + ".");
  }

  const SheetOptions& options_;
  std::vector<ShownRun> runs_;
  ContactSheet sheet_;
};

std::string settled_png(const SheetOptions& options) {
  RunPictures run(options.run, options.pictures);
  const std::vector<int64_t> steps = run.steps(FrameKind::x0);
  const auto picture = [&](int64_t step) { return run.picture(FrameKind::x0, step); };
  const SettledSheet sheet{.title = run.facts().prompt,
                           .about = settings_line(run),
                           .map = settled_map(steps, picture, options.near),
                           .end = picture(steps.back()),
                           .near = options.near,
                           .scale = options.scale};
  return png_of(sheet, texts_of(run, "settled"));
}

}  // namespace

std::string sheet_of_runs(const SheetOptions& options) {
  check_fonts();
  return options.settled ? settled_png(options) : RunSheet(options).png();
}

}  // namespace steplapse
