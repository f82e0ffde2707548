#include "studies/sweep/sweep_summary_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/json_null.h"
#include "base/number_text.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

/// "unipc on karras", "euler_a on karras, eta 0.5 ~".
std::string group_label(const SummaryGroup& group) {
  std::string text = escaped(group.sampler()) + " on " + escaped(group.settings[1].second);
  for (size_t i = 2; i < group.settings.size(); ++i)
    text += ", " + group.settings[i].first + " " + escaped(group.settings[i].second, 40);
  return text + (group.stochastic ? " ~" : "");
}

std::string percent(double share) { return rounded_text(std::floor(1000 * share + 0.5) / 10, 3) + " %"; }
std::string few_digits(double number) { return rounded_text(number, 3); }
std::string count_or_mean(double number) { return rounded_text(std::round(10 * number) / 10, 7); }

// ---- for people

constexpr size_t kMostFalls = 12;  // that are told of

class SummaryText {
 public:
  SummaryText(const SweepSummary& summary, size_t columns) : summary_(summary), columns_(columns) {}

  std::string text() {
    best();
    out_ << '\n';
    if (summary_.answers.size() > 1) {
      for (const size_t group : summary_.answers) say(answer(summary_.groups[group]));
      out_ << '\n';
    }
    table();
    out_ << '\n';
    worse();
    notes();
    return out_.str();
  }

 private:
  std::string goal() const {
    return "within " + rounded_text(summary_.within, 4) + " dB of the reference for " + percent(summary_.share) +
           " of the pictures";
  }

  std::string saved(const SummaryGroup& group) const {
    const SummaryLine &line = group.lines[*group.smallest], &most = group.lines.back();
    std::string text = count_or_mean(line.calls) + " calls a picture";
    if (&line == &most) return text;
    text += " in place of " + count_or_mean(most.calls) + " with " + counted(most.steps, "step");
    if (line.seconds && most.seconds)
      text += ", " + few_digits(*line.seconds) + " s in place of " + few_digits(*most.seconds);
    return text;
  }

  void best() {
    const SummaryGroup& group = summary_.groups[summary_.answers.front()];
    const std::string so_far = summary_.missing > 0 ? "So far: " : "";
    if (!group.smallest) {
      say(so_far + "No number of steps is " + goal() + ".");
      return;
    }
    const SummaryLine& line = group.lines[*group.smallest];
    say(so_far + "Use " + group_label(group) + " with " + counted(line.steps, "step") + ": the fewest calls " + goal() +
        " (" + std::to_string(line.near) + " of " + std::to_string(line.pictures) + "). " + saved(group) + "." +
        (line.is_reference() ? " But this is the reference itself: nothing cheaper came so near." : ""));
  }

  std::string answer(const SummaryGroup& group) const {
    const std::string label = group_label(group) + ": ";
    if (!group.smallest) {
      const auto nearest = std::max_element(group.lines.begin(), group.lines.end(), [](const auto& a, const auto& b) {
        return a.share_near() < b.share_near();
      });
      return label + "not enough with any number of steps; at best " + percent(nearest->share_near()) + ", with " +
             counted(nearest->steps, "step");
    }
    const SummaryLine& line = group.lines[*group.smallest];
    return label + counted(line.steps, "step") + ", " + saved(group) +
           (line.is_reference() ? ": the reference itself, and fewer steps are not enough" : "");
  }

  void table() {
    size_t width = 8;
    for (const SummaryGroup& group : summary_.groups) width = std::max(width, display_width(group_label(group)));
    row(width, {"sampler", "steps", "calls", "pictures", "PSNR", "spread", "within", "seconds"});
    for (const SummaryGroup& group : summary_.groups) {
      for (const SummaryLine& line : group.lines) {
        const bool is_smallest = group.smallest && &line == &group.lines[*group.smallest];
        row(width, {group_label(group), (is_smallest ? "> " : "") + std::to_string(line.steps),
                    count_or_mean(line.calls), std::to_string(line.pictures), psnr_text(line),
                    line.psnr.deviation ? rounded_text(*line.psnr.deviation, 2) : "-", percent(line.share_near()),
                    line.seconds ? few_digits(*line.seconds) : "-"});
      }
    }
  }

  static std::string psnr_text(const SummaryLine& line) {
    if (line.is_reference()) return "itself";
    return std::isnan(line.psnr.mean) ? "equal" : few_digits(line.psnr.mean);
  }

  void row(size_t width, const std::vector<std::string>& fields) {
    static constexpr size_t kWidths[] = {0, 7, 7, 10, 8, 8, 9, 9};
    out_ << fields[0] << std::string(width - display_width(fields[0]), ' ');
    for (size_t i = 1; i < fields.size(); ++i)
      out_ << std::string(kWidths[i] - std::min(kWidths[i], fields[i].size()), ' ') << fields[i];
    out_ << '\n';
  }

  /// The largest falls first.
  void worse() {
    std::vector<WorseAfter> falls = summary_.worse;
    std::stable_sort(falls.begin(), falls.end(), [](const auto& a, const auto& b) { return a.fall > b.fall; });
    for (size_t i = 0; i < std::min(falls.size(), kMostFalls); ++i) say(text_of(falls[i]));
    if (falls.size() > kMostFalls)
      say("So it was with " + std::to_string(falls.size() - kMostFalls) +
          " more prompts and samplers; JSON has them all.");
  }

  std::string text_of(const WorseAfter& worse) const {
    return "More steps were worse: " + group_label(summary_.groups[worse.group]) + ", " + in_quotes(worse.prompt) +
           ": " + std::to_string(worse.later) + " steps end " + few_digits(worse.fall) +
           " dB further from the reference than " + std::to_string(worse.best) + " (" +
           counted(static_cast<int64_t>(worse.pictures), "picture") + ").";
  }

  void notes() {
    say("PSNR: of the pixels to the reference, the run with the most calls of the same prompt, seed, guidance and "
        "schedule; mean, and standard deviation as spread, over all other settings; itself: these are the "
        "references; equal: no pixel differs. within: how many are within " +
        rounded_text(summary_.within, 4) + " dB, an rms of " +
        rounded_text(255 / std::pow(10, summary_.within / 20), 2) +
        " of 255. > the fewest steps that are enough. seconds: in the network, a picture that shares no answers with "
        "others.");
    if (!summary_.left_out.empty()) {
      say("Left out, since they draw fresh noise and end at other pictures on purpose: " +
          joined(summary_.left_out, ", ") + "; name one as `sampler` to see how near it comes to its own most calls.");
    }
    const auto tell = [&](size_t cells, const char* what) {
      if (cells > 0) say(counted(static_cast<int64_t>(summary_.cells), "cell") + ", " + std::to_string(cells) + what);
    };
    tell(summary_.missing, " of them missing: what is said here may change");
    tell(summary_.failed, " of them failed");
    tell(summary_.skipped, " of them left out as invalid");
  }

  void say(const std::string& text) { out_ << wrapped(text, columns_) << '\n'; }

  const SweepSummary& summary_;
  const size_t columns_;
  std::ostringstream out_;
};

// ---- for programs

std::vector<std::string> names_in(const SweepSummary& summary) {
  std::vector<std::string> names;
  for (const SummaryGroup& group : summary.groups) {
    for (const auto& [name, text] : group.settings) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

std::string setting_in(const SummaryGroup& group, const std::string& name) {
  for (const auto& [known, text] : group.settings) {
    if (known == name) return text;
  }
  return "";
}

std::optional<double> if_number(double value) { return std::isnan(value) ? std::nullopt : std::optional(value); }

ordered_json settings_of_group(const SummaryGroup& group) {
  ordered_json json = ordered_json::object();
  for (const auto& [name, text] : group.settings) json[name] = text;
  return json;
}

ordered_json json_of_line(const SummaryLine& line) {
  return {{"steps", line.steps},
          {"pictures", line.pictures},
          {"references", line.references},
          {"equal", line.equal},
          {"psnr_mean", finite_or_null(line.psnr.mean)},
          {"psnr_deviation", or_null(line.psnr.deviation)},
          {"latents_rms_mean", finite_or_null(line.latents_rms.mean)},
          {"latents_rms_deviation", or_null(line.latents_rms.deviation)},
          {"within", line.near},
          {"denoiser_calls", finite_or_null(line.calls)},
          {"network_seconds", or_null(line.seconds)}};
}

ordered_json json_of_answer(const SummaryGroup& group) {
  ordered_json json = settings_of_group(group);
  json["steps"] = group.smallest ? ordered_json(group.lines[*group.smallest].steps) : ordered_json();
  if (!group.smallest) return json;
  const SummaryLine &line = group.lines[*group.smallest], &most = group.lines.back();
  json["is_reference"] = line.is_reference();
  json["denoiser_calls"] = finite_or_null(line.calls);
  json["denoiser_calls_saved"] = finite_or_null(most.calls - line.calls);
  json["network_seconds"] = or_null(line.seconds);
  json["network_seconds_saved"] =
      line.seconds && most.seconds ? ordered_json(*most.seconds - *line.seconds) : ordered_json();
  return json;
}

}  // namespace

std::string summary_table(const SweepSummary& summary, size_t columns) { return SummaryText(summary, columns).text(); }

std::string summary_csv(const SweepSummary& summary) {
  const std::vector<std::string> names = names_in(summary);
  std::ostringstream out;
  for (const std::string& name : names) out << name << ',';
  out << "stochastic,steps,pictures,references,equal,psnr_mean,psnr_deviation,latents_rms_mean,latents_rms_deviation,"
         "within,denoiser_calls,network_seconds,smallest\n";
  for (const SummaryGroup& group : summary.groups) {
    for (const SummaryLine& line : group.lines) {
      for (const std::string& name : names) out << csv_text(setting_in(group, name)) << ',';
      out << group.stochastic << ',' << line.steps << ',' << line.pictures << ',' << line.references << ','
          << line.equal << ',' << exact_text(if_number(line.psnr.mean)) << ',' << exact_text(line.psnr.deviation) << ','
          << exact_text(if_number(line.latents_rms.mean)) << ',' << exact_text(line.latents_rms.deviation) << ','
          << line.near << ',' << exact_text(if_number(line.calls)) << ',' << exact_text(line.seconds) << ','
          << (group.smallest && &line == &group.lines[*group.smallest]) << '\n';
    }
  }
  return out.str();
}

std::string summary_json(const SweepSummary& summary) {
  ordered_json answers = ordered_json::array(), groups = ordered_json::array(), worse = ordered_json::array();
  for (const size_t group : summary.answers) answers.push_back(json_of_answer(summary.groups[group]));
  for (const SummaryGroup& group : summary.groups) {
    ordered_json json = settings_of_group(group);
    json["stochastic"] = group.stochastic;
    json["lines"] = ordered_json::array();
    for (const SummaryLine& line : group.lines) json["lines"].push_back(json_of_line(line));
    groups.push_back(json);
  }
  for (const WorseAfter& fall : summary.worse) {
    ordered_json json = settings_of_group(summary.groups[fall.group]);
    json.update({{"prompt", fall.prompt},
                 {"steps", fall.best},
                 {"more_steps", fall.later},
                 {"psnr_lost", fall.fall},
                 {"pictures", fall.pictures}});
    worse.push_back(json);
  }
  const ordered_json json{{"within", summary.within},
                          {"share", summary.share},
                          {"cells", summary.cells},
                          {"missing", summary.missing},
                          {"failed", summary.failed},
                          {"skipped", summary.skipped},
                          {"left_out", summary.left_out},
                          {"answers", answers},
                          {"groups", groups},
                          {"worse", worse}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Plot summary_plot(const SweepSummary& summary) {
  Plot plot{.title = "Nearness to the reference over cost",
            .x = {"denoiser calls a picture", true},
            .y = {"PSNR to the reference, dB"},
            .series = {}};
  double first = INFINITY, last = 0;
  for (const SummaryGroup& group : summary.groups) {
    Plot::Series series{.name = group_label(group), .x = {}, .y = {}, .dashed = group.stochastic};
    for (const SummaryLine& line : group.lines) {
      if (std::isnan(line.psnr.mean)) continue;
      series.x.push_back(line.calls);
      series.y.push_back(line.psnr.mean);
      series.spread.push_back(line.psnr.deviation.value_or(0));
      first = std::min(first, line.calls);
      last = std::max(last, line.calls);
    }
    if (!series.x.empty()) plot.series.push_back(std::move(series));
  }
  if (plot.series.empty())
    throw UsageError("every picture of the sweep is its own reference or equal to it: there is nothing to plot");
  plot.series.push_back({.name = rounded_text(summary.within, 4) + " dB",
                         .x = {first, last},
                         .y = {summary.within, summary.within},
                         .dashed = true,
                         .guide = true});
  return plot;
}

}  // namespace steplapse
