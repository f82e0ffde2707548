#include "studies/compare_report.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/json_null.h"
#include "base/number_text.h"
#include "base/text.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

constexpr int kStepWidth = 5, kSigmaWidth = 10, kNumberWidth = 12;

std::string number_of(size_t other) { return std::to_string(other + 2); }

/// A step of one's own, "12", or between two, "12.4".
std::string step_text(const EstimateAt& at) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(at.is_interpolated ? 1 : 0) << at.step;
  return text.str();
}

class CompareTable {
 public:
  CompareTable(const CompareReport& report, size_t columns) : report_(report), columns_(columns) {}

  std::string text() {
    runs();
    settings();
    points();
    verdicts();
    notes();
    return out_.str();
  }

 private:
  void runs() {
    for (size_t i = 0; i < report_.runs.size(); ++i) {
      out_ << i + 1 << "  " << escaped(report_.runs[i].string(), 200) << ": " << escaped(report_.endings[i], 200)
           << '\n';
    }
    out_ << '\n';
  }

  void settings() {
    if (report_.settings.empty()) {
      out_ << "Their settings are the same.\n\n";
      return;
    }
    size_t name_width = 0;
    std::vector<size_t> widths(report_.runs.size(), 1);
    for (const DifferentSetting& setting : report_.settings) {
      name_width = std::max(name_width, setting.name.size());
      for (size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], display_width(setting.values[i]));
    }
    const auto row = [&](const std::string& name, const auto& value_of) {
      std::string line = padded(name, std::max(name_width, std::string("differs").size()));
      for (size_t i = 0; i < widths.size(); ++i) line += "  " + padded(value_of(i), widths[i]);
      out_ << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
    };
    row("differs", [](size_t i) { return std::to_string(i + 1); });
    for (const DifferentSetting& setting : report_.settings)
      row(setting.name, [&](size_t i) { return setting.values[i]; });
    out_ << '\n';
  }

  bool shows_pictures() const {
    const auto is_there = [](const std::optional<double>& distance) { return distance.has_value(); };
    return std::any_of(report_.pictures.begin(), report_.pictures.end(),
                       [&](const auto& row) { return std::any_of(row.begin(), row.end(), is_there); });
  }

  void points() {
    const bool pictures = shows_pictures();
    out_ << "1: step" << std::setw(kSigmaWidth) << "sigma";
    for (size_t i = 0; i < report_.comparison.ends.size(); ++i) {
      right(number_of(i) + ": step");
      right("x0");
      if (pictures) right("picture");
    }
    out_ << '\n';
    for (size_t i = 0; i < report_.comparison.points.size(); ++i) point(i, pictures);
    out_ << std::setw(kStepWidth + 2) << "end" << std::setw(kSigmaWidth) << "";
    for (size_t i = 0; i < report_.comparison.ends.size(); ++i) {
      right("end");
      right(rounded_text(report_.comparison.ends[i], 3));
      if (pictures) right(pixels(report_.final_pictures[i]));
    }
    out_ << "\n\n";
  }

  void point(size_t i, bool pictures) {
    const Comparison::Point& point = report_.comparison.points[i];
    out_ << std::setw(kStepWidth + 2) << point.first.step << std::setw(kSigmaWidth)
         << rounded_text(noise_ratio(point.first.level), 4);
    for (size_t other = 0; other < point.others.size(); ++other) {
      const Comparison::Other& found = point.others[other];
      right(found.at ? (found.at->is_interpolated ? "~" : "") + step_text(*found.at) : "-");
      right(found.at ? rounded_text(found.distance, 3) : "-");
      if (pictures) right(pixels(report_.pictures[i][other]));
      any_interpolated_ |= found.at && found.at->is_interpolated;
    }
    out_ << '\n';
  }

  void verdicts() {
    const Comparison& comparison = report_.comparison;
    const std::string share = plain(report_.share);
    for (size_t i = 0; i < comparison.ends.size(); ++i) {
      std::string text = "1 and " + number_of(i) + " ";
      if (const auto at = comparison.parts[i]) {
        const Estimate& first = comparison.points[*at].first;
        text += "part at step " + std::to_string(first.step) + " of 1, sigma " +
                rounded_text(noise_ratio(first.level), 4) + ": the first where x0 differs by more than " +
                rounded_text(comparison.parts_above, 3) + ", which is " + share + " of the rms of 1's end.";
      } else {
        text += "do not part: x0 never differs by more than " + rounded_text(comparison.parts_above, 3) +
                ", which is " + share + " of the rms of 1's end.";
      }
      text += " Their ends differ by " + rounded_text(comparison.ends[i], 3);
      if (report_.final_pictures[i])
        text += ", their final pictures by " + pixels(report_.final_pictures[i]) + " of 255";
      say(text + ".");
    }
    for (size_t run = 0; run < comparison.settles.size(); ++run) {
      const auto step = comparison.settles[run];
      say(std::to_string(run + 1) +
          (step ? " has settled at step " + std::to_string(*step) + ": from there on x0 stays within "
                : " does not settle before its end: its last x0 is not within ") +
          share + " of the rms of its end.");
    }
  }

  void notes() {
    out_ << '\n';
    say("x0: root mean square of the difference of x0 to 1's, in latent units" +
        std::string(report_.alignment == Alignment::sigma ? ", at the same sigma / alpha" : ", at the same step") +
        (shows_pictures() ? "; picture: the same of pixels, 0 to 255." : "."));
    if (any_interpolated_)
      say("~ the run has no level there: its x0 is interpolated between two of its steps, linearly in log sigma.");
    if (!report_.same_model)
      say("Their models differ, so distances of latents mean nothing unless both have the same latent space; pictures "
          "can be compared.");
  }

  static std::string pixels(const std::optional<double>& distance) {
    return distance ? rounded_text(*distance, 3) : "-";
  }
  static std::string padded(const std::string& text, size_t width) {
    return text + std::string(width - std::min(width, display_width(text)), ' ');
  }
  void right(const std::string& text) { out_ << std::setw(kNumberWidth) << text; }
  void say(const std::string& text) { out_ << wrapped(text, columns_) << '\n'; }

  const CompareReport& report_;
  const size_t columns_;
  std::ostringstream out_;
  bool any_interpolated_ = false;
};

}  // namespace

std::string compare_table(const CompareReport& report, size_t columns) { return CompareTable(report, columns).text(); }

std::string compare_csv(const CompareReport& report) {
  std::ostringstream out;
  out << "run,step,timestep,sigma,other_step,interpolated,x0_distance,picture_distance\n";
  const auto& points = report.comparison.points;
  for (size_t other = 0; other < report.comparison.ends.size(); ++other) {
    for (size_t i = 0; i < points.size(); ++i) {
      const auto& [first, others] = points[i];
      const auto& at = others[other].at;
      out << other + 2 << ',' << first.step << ',' << exact_text(first.level.timestep) << ','
          << exact_text(noise_ratio(first.level)) << ',' << (at ? exact_text(at->step) : "") << ','
          << (at ? std::to_string(at->is_interpolated) : "") << ',' << (at ? exact_text(others[other].distance) : "")
          << ',' << exact_text(report.pictures[i][other]) << '\n';
    }
    out << other + 2 << ",end,,,end,," << exact_text(report.comparison.ends[other]) << ','
        << exact_text(report.final_pictures[other]) << '\n';
  }
  return out.str();
}

std::string compare_json(const CompareReport& report) {
  const Comparison& comparison = report.comparison;
  ordered_json runs = ordered_json::array(), settings = ordered_json::object(), points = ordered_json::array(),
               others = ordered_json::array();
  for (size_t i = 0; i < report.runs.size(); ++i) {
    runs.push_back(
        {{"folder", report.runs[i].string()},
         {"ending", report.endings[i]},
         {"settles_at_step", comparison.settles[i] ? ordered_json(*comparison.settles[i]) : ordered_json()}});
  }
  for (const DifferentSetting& setting : report.settings) settings[setting.name] = setting.values;
  for (size_t i = 0; i < comparison.points.size(); ++i) {
    const auto& [first, found] = comparison.points[i];
    ordered_json row = ordered_json::array();
    for (size_t other = 0; other < found.size(); ++other) {
      const auto& at = found[other].at;
      row.push_back(at ? ordered_json{{"step", at->step},
                                      {"interpolated", at->is_interpolated},
                                      {"x0_distance", found[other].distance},
                                      {"picture_distance", or_null(report.pictures[i][other])}}
                       : ordered_json());
    }
    points.push_back({{"step", first.step}, {"sigma", finite_or_null(noise_ratio(first.level))}, {"others", row}});
  }
  for (size_t other = 0; other < comparison.ends.size(); ++other) {
    const auto part = comparison.parts[other];
    others.push_back({{"run", other + 2},
                      {"parts_at_step", part ? ordered_json(comparison.points[*part].first.step) : ordered_json()},
                      {"final_latents_distance", comparison.ends[other]},
                      {"final_picture_distance", or_null(report.final_pictures[other])}});
  }
  const ordered_json json{{"align", report.alignment == Alignment::sigma ? "sigma" : "step"},
                          {"same_model", report.same_model},
                          {"threshold", {{"share", report.share}, {"parts_above", comparison.parts_above}}},
                          {"runs", runs},
                          {"settings", settings},
                          {"points", points},
                          {"others", others}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace steplapse
