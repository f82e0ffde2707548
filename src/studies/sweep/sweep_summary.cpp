#include "studies/sweep/sweep_summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "base/number_text.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr double kLeastFall = 0.5, kSureFall = 3;  // dB: that is told of; with too few pictures to know the noise
constexpr size_t kFewPictures = 3;
const double kOneLevel = 20 * std::log10(255.0);  // PSNR at an rms of one level of 255

/// A picture that counts, with where it is.
struct SummedCell {
  size_t cell;
  const CellRow& row;
  const SweepDistance& distance;

  bool is_reference() const { return distance.is_own(cell); }
};

std::string summed_text(const CellRow& row, const std::string& name) {
  const auto value = row.settings.find(name);
  if (value == row.settings.end() || value->is_null()) return "-";
  if (value->is_string()) return value->get<std::string>();
  return value->is_number_float() ? rounded_text(value->get<double>(), 6) : value->dump();
}

int64_t asked_steps(const CellRow& row) { return row.settings.value("steps", row.steps.value_or(0)); }

Spread spread_over(const std::vector<double>& values) {
  Spread spread{.mean = std::numeric_limits<double>::quiet_NaN(), .deviation = {}};
  if (values.empty()) return spread;
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const auto count = static_cast<double>(values.size());
  spread.mean = sum / count;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  if (values.size() > 1) spread.deviation = std::sqrt(squares / (count - 1));
  return spread;
}

double mean_over(const std::vector<double>& values) { return spread_over(values).mean; }

// ---- which cells are summed, and how they are told apart

class SummedCells {
 public:
  SummedCells(const std::vector<std::optional<CellRow>>& rows,
              const std::vector<std::optional<SweepDistance>>& distances, const SweepSummaryOptions& options)
      : options_(options) {
    std::set<std::string> samplers;
    bool any = false;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i] || !distances[i] || !distances[i]->psnr) continue;
      any = true;
      samplers.insert(summed_text(*rows[i], "sampler"));
      check_by(*rows[i]);
      if (is_wanted(*rows[i])) cells.push_back({i, *rows[i], *distances[i]});
    }
    if (!any) throw UsageError("no cell of the sweep has a picture yet; there is nothing to sum up");
    check_samplers({samplers.begin(), samplers.end()});
    if (cells.empty())
      throw UsageError("all samplers of the sweep draw fresh noise: " +
                       joined({left_out.begin(), left_out.end()}, ", ") + "; name those to sum up as `sampler`");
    find_options();
  }

  std::vector<std::pair<std::string, std::string>> settings_of(const CellRow& row) const {
    std::vector<std::pair<std::string, std::string>> settings;
    const std::string sampler = summed_text(row, "sampler");
    settings.emplace_back("sampler", sampler);
    settings.emplace_back("schedule", summed_text(row, "schedule"));
    for (const char* name : kToldApart) {
      if (several_.contains({sampler, name})) settings.emplace_back(name, summed_text(row, name));
    }
    for (const std::string& name : options_.by) {
      if (name != "sampler" && name != "schedule") settings.emplace_back(name, summed_text(row, name));
    }
    return settings;
  }

  std::vector<SummedCell> cells;
  std::set<std::string> left_out;

 private:
  static constexpr const char* kToldApart[] = {
      "eta", "s_churn", "s_tmin", "s_tmax", "s_noise", "stop_at", "stop_when_converged"};

  bool is_wanted(const CellRow& row) {
    const std::string sampler = summed_text(row, "sampler");
    const auto& names = options_.samplers;
    if (!names.empty()) return std::find(names.begin(), names.end(), sampler) != names.end();
    if (row.stochastic) left_out.insert(sampler);
    return !row.stochastic;
  }

  void check_by(const CellRow& row) const {
    for (const std::string& name : options_.by) {
      if (!row.settings.contains(name)) {
        std::vector<std::string> names;
        for (const auto& [known, value] : row.settings.items()) names.push_back(known);
        throw UsageError("`by` " + in_quotes(name) + ": is no setting of the sweep's runs" +
                         did_you_mean(name, names, "; results.csv has them"));
      }
    }
  }

  void check_samplers(const std::vector<std::string>& known) const {
    for (const std::string& name : options_.samplers) {
      if (std::find(known.begin(), known.end(), name) == known.end())
        throw UsageError("`sampler` " + in_quotes(name) + ": no picture of the sweep is by it; there are " +
                         joined(known, ", "));
    }
  }

  /// The options and ends that have several values with one sampler, and so make it several.
  void find_options() {
    std::map<std::pair<std::string, std::string>, std::string> first;
    for (const SummedCell& cell : cells) {
      const std::string sampler = summed_text(cell.row, "sampler");
      for (const char* name : kToldApart) {
        const std::string text = summed_text(cell.row, name);
        if (first.try_emplace({sampler, name}, text).first->second != text) several_.insert({sampler, name});
      }
    }
  }

  const SweepSummaryOptions& options_;
  std::set<std::pair<std::string, std::string>> several_;
};

// ---- sums

/// What its answers would have taken had no other cell asked for some; none where others had asked for all.
std::optional<double> seconds_alone(const CellRow& row) {
  if (!row.network_seconds || !row.denoiser_calls) return std::nullopt;
  const int64_t asked = *row.denoiser_calls - row.shared_calls.value_or(0);
  if (asked <= 0) return std::nullopt;
  return *row.network_seconds * static_cast<double>(*row.denoiser_calls) / static_cast<double>(asked);
}

using CellsBySteps = std::map<int64_t, std::vector<const SummedCell*>>;

SummaryLine line_of(int64_t steps, const std::vector<const SummedCell*>& cells, double within) {
  SummaryLine line{.steps = steps, .pictures = cells.size()};
  std::vector<double> psnr, latents, calls, seconds;
  for (const SummedCell* cell : cells) {
    const double found = *cell->distance.psnr;
    line.near += found >= within;
    line.references += cell->is_reference();
    line.equal += !cell->is_reference() && std::isinf(found);
    if (std::isfinite(found)) psnr.push_back(found);
    if (!cell->is_reference() && cell->distance.latents_rms) latents.push_back(*cell->distance.latents_rms);
    if (cell->row.denoiser_calls) calls.push_back(static_cast<double>(*cell->row.denoiser_calls));
    if (const auto alone = seconds_alone(cell->row)) seconds.push_back(*alone);
  }
  line.psnr = spread_over(psnr);
  line.latents_rms = spread_over(latents);
  line.calls = mean_over(calls);
  if (!seconds.empty()) line.seconds = mean_over(seconds);
  return line;
}

void sum_up(SummaryGroup& group, const CellsBySteps& cells, const SweepSummaryOptions& options) {
  for (const auto& [steps, of_steps] : cells) {
    group.lines.push_back(line_of(steps, of_steps, options.within));
    if (!group.smallest && group.lines.back().share_near() >= options.share) group.smallest = group.lines.size() - 1;
  }
}

// ---- the answers

/// That which is better is less: fewer calls, then nearer pictures.
std::tuple<bool, double, double> rank_of(const SummaryGroup& group) {
  if (group.smallest) {
    const SummaryLine& line = group.lines[*group.smallest];
    return {false, line.calls, std::isnan(line.psnr.mean) ? -1e9 : -line.psnr.mean};
  }
  double share = 0;
  for (const SummaryLine& line : group.lines) share = std::max(share, line.share_near());
  return {true, -share, 0};
}

std::vector<size_t> answers_of(const std::vector<SummaryGroup>& groups) {
  std::map<std::vector<std::pair<std::string, std::string>>, size_t> best;
  for (size_t i = 0; i < groups.size(); ++i) {
    auto settings = groups[i].settings;
    settings.erase(settings.begin() + 1);  // the schedule
    size_t& known = best.try_emplace(settings, i).first->second;
    if (rank_of(groups[i]) < rank_of(groups[known])) known = i;
  }
  std::vector<size_t> answers;
  for (const auto& [settings, group] : best) answers.push_back(group);
  std::sort(answers.begin(), answers.end(),
            [&](size_t a, size_t b) { return std::pair(rank_of(groups[a]), a) < std::pair(rank_of(groups[b]), b); });
  return answers;
}

// ---- more steps that hurt

/// By steps, and by the picture's reference: PSNR, where it is not its own.
using PsnrBySteps = std::map<int64_t, std::map<size_t, double>>;

/// How much less the later ones have, over the references that both have; none where that may be noise.
std::optional<WorseAfter> fall_between(const PsnrBySteps::value_type& before, const PsnrBySteps::value_type& after) {
  std::vector<double> falls;
  for (const auto& [reference, psnr] : before.second) {
    if (const auto later = after.second.find(reference); later != after.second.end())
      falls.push_back(psnr - later->second);
  }
  if (falls.empty()) return std::nullopt;
  const Spread fall = spread_over(falls);
  const double error = fall.deviation.value_or(0) / std::sqrt(static_cast<double>(falls.size()));
  const double least = falls.size() < kFewPictures ? kSureFall : std::max(kLeastFall, 2 * error);
  if (fall.mean <= least) return std::nullopt;
  return WorseAfter{0, "", before.first, after.first, fall.mean, falls.size()};
}

std::optional<WorseAfter> largest_fall(const PsnrBySteps& psnr) {
  std::optional<WorseAfter> largest;
  for (auto before = psnr.begin(); before != psnr.end(); ++before) {
    for (auto after = std::next(before); after != psnr.end(); ++after) {
      const auto fall = fall_between(*before, *after);
      if (fall && (!largest || fall->fall > largest->fall)) largest = fall;
    }
  }
  return largest;
}

void add_falls(std::vector<WorseAfter>& worse, size_t group, const CellsBySteps& cells) {
  std::map<std::string, PsnrBySteps> by_prompt;
  for (const auto& [steps, of_steps] : cells) {
    for (const SummedCell* cell : of_steps) {
      if (cell->is_reference()) continue;
      by_prompt[summed_text(cell->row, "prompt")][steps][cell->distance.reference] =
          std::min(kOneLevel, *cell->distance.psnr);
    }
  }
  for (const auto& [prompt, psnr] : by_prompt) {
    auto fall = largest_fall(psnr);
    if (!fall) continue;
    fall->group = group;
    fall->prompt = prompt;
    worse.push_back(*fall);
  }
}

void count_cells(SweepSummary& summary, const std::vector<std::optional<CellRow>>& rows) {
  summary.cells = rows.size();
  for (const auto& row : rows) {
    summary.missing += !row;
    summary.failed += row && row->status == "failed";
    summary.skipped += row && row->status == "skipped";
  }
}

}  // namespace

SweepSummary summary_of(const std::vector<std::optional<CellRow>>& rows,
                        const std::vector<std::optional<SweepDistance>>& distances,
                        const SweepSummaryOptions& options) {
  const SummedCells summed(rows, distances, options);
  SweepSummary summary{.within = options.within, .share = options.share};
  count_cells(summary, rows);
  summary.left_out.assign(summed.left_out.begin(), summed.left_out.end());
  std::map<std::vector<std::pair<std::string, std::string>>, size_t> known;
  std::vector<CellsBySteps> cells;
  for (const SummedCell& cell : summed.cells) {
    const auto settings = summed.settings_of(cell.row);
    const auto [group, is_new] = known.try_emplace(settings, known.size());
    if (is_new) {
      summary.groups.push_back({.settings = settings, .stochastic = cell.row.stochastic, .lines = {}});
      cells.emplace_back();
    }
    cells[group->second][asked_steps(cell.row)].push_back(&cell);
  }
  for (size_t i = 0; i < cells.size(); ++i) {
    sum_up(summary.groups[i], cells[i], options);
    add_falls(summary.worse, i, cells[i]);
  }
  summary.answers = answers_of(summary.groups);
  return summary;
}

}  // namespace steplapse
