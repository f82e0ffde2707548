#include <algorithm>
#include <set>

#include "base/text.h"
#include "views/report/html.h"
#include "views/report/page.h"

namespace steplapse {
namespace {

/// What says nothing of how a picture was made.
bool is_setting(const std::string& key) {
  static const std::set<std::string> others{"started", "ended",   "ended_reason", "facts_sha256", "runs",
                                            "number",  "decoder", "model_path",   "picture"};
  return !others.contains(key) && !key.ends_with("_seconds");
}

std::string header(const std::string& name, const char* kind) {
  return "<th scope=\"col\" data-sort=\"" + std::string(kind) + "\">" + html(name) + "</th>";
}

/// @param value  what the column is sorted by
std::string cell(const std::string& text, const std::string& value) {
  return "<td data-value=\"" + html_name(value) + "\">" + bdi(escaped(text, 200)) + "</td>";
}

std::string row(const Report& report, size_t index, const std::vector<std::string>& varied) {
  const RunReport& run = report.runs[index];
  const std::string number = std::to_string(index);
  std::string cells = "<td>" +
                      image(run.final, "The picture that run " + std::to_string(index + 1) + " ended with",
                            "class=\"thumb\" data-final=\"" + number + "\"") +
                      "</td><th scope=\"row\" data-value=\"" + html_name(run.name) + "\"><a href=\"#run-" + number +
                      "\">" + bdi(escaped(run.name, 200)) + "</a></th>";
  for (const std::string& key : varied) cells += cell(run.setting(key), run.setting(key));
  cells += cell(std::to_string(run.steps.size()), std::to_string(run.steps.size()));
  cells += cell(std::to_string(run.calls), std::to_string(run.calls));
  cells += cell(run.seconds ? number_text(*run.seconds, 3) + " s" : "–", run.seconds ? plain(*run.seconds) : "");
  cells += cell(run.ending, run.ending);
  return "<tr data-run=\"" + number + "\">" + cells + "</tr>\n";
}

}  // namespace

std::vector<std::string> varied_settings(const Report& report) {
  std::vector<std::string> varied;
  for (const RunReport& run : report.runs) {
    for (const auto& [key, value] : run.settings) {
      if (!is_setting(key) || std::find(varied.begin(), varied.end(), key) != varied.end()) continue;
      const bool same = std::all_of(report.runs.begin(), report.runs.end(),
                                    [&](const RunReport& other) { return other.setting(key) == value; });
      if (!same) varied.push_back(key);
    }
  }
  return varied;
}

std::string runs_table(const Report& report) {
  const std::vector<std::string> varied = varied_settings(report);
  std::string head = "<th scope=\"col\">picture</th>" + header("run", "text"), rows;
  for (const std::string& key : varied) head += header(name_for_people(key), "value");
  head += header("steps made", "value") + header("calls", "value") + header("time", "value") + header("state", "text");
  for (size_t i = 0; i < report.runs.size(); ++i) rows += row(report, i, varied);
  return "<div class=\"scroller tall\" tabindex=\"0\" role=\"region\" aria-label=\"Table of the runs\">\n"
         "<table id=\"table\">\n<thead><tr>" +
         head + "</tr></thead>\n<tbody>\n" + rows + "</tbody>\n</table>\n</div>\n";
}

}  // namespace steplapse
