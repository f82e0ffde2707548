#include "views/report/page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "report_page_files.h"
#include "steplapse/version.h"
#include "views/report/html.h"
#include "views/report/quantities.h"

namespace steplapse {
namespace {

std::string policy(const Report& report) {
  return "default-src 'none'; img-src data:" + std::string(report.has_folder ? " 'self'" : "") + "; style-src " +
         policy_hash(kReportStyle) + "; script-src " + policy_hash(kReportScript) +
         "; base-uri 'none'; form-action 'none'";
}

/// Small ones are shown enlarged, and each of their pixels as it is.
bool has_small_pictures(const Report& report) { return report.runs.front().final.width <= 160; }

std::string title_of(const Report& report) {
  const std::string& prompt = report.runs.front().prompt();
  return report.runs.size() == 1 ? "steplapse: " + prompt : "steplapse: " + counted(std::ssize(report.runs), "run");
}

std::string document_head(const Report& report) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"" +
         html(policy(report)) +
         "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"steplapse " +
         STEPLAPSE_VERSION + "\">\n<link rel=\"icon\" href=\"data:,\">\n<title>" + html(escaped(title_of(report))) +
         "</title>\n<style>" + std::string(kReportStyle) + "</style>\n</head>\n";
}

bool has_one(const Report& report, const std::string& key) {
  return std::all_of(report.runs.begin(), report.runs.end(),
                     [&](const RunReport& run) { return run.setting(key) == report.runs.front().setting(key); });
}

/// What the runs have in common, of what people ask first.
std::string shared_text(const Report& report) {
  std::vector<std::string> shared;
  for (const char* key : {"sampler", "schedule", "steps", "seed", "guidance_scale", "model"}) {
    const std::string value = report.runs.front().setting(key);
    if (!value.empty() && has_one(report, key)) shared.push_back(name_for_people(key) + " " + escaped(value));
  }
  return shared.empty() ? "each with settings of its own" : "all with " + joined(shared, ", ");
}

std::string page_head(const Report& report) {
  if (report.runs.size() == 1) return "<header>\n" + run_head(report.runs.front(), 0, true) + "</header>\n";
  const bool one_prompt = has_one(report, "prompt") && !report.runs.front().prompt().empty();
  const std::string runs = counted(std::ssize(report.runs), "run");
  return "<header>\n<h1>" + (one_prompt ? bdi(report.runs.front().prompt()) : runs) + "</h1>\n<p class=\"facts\">" +
         (one_prompt ? runs + ", " : "") + html(shared_text(report)) + "</p>\n</header>\n";
}

std::string grid_section(const Report& report) {
  if (report.runs.size() == 1) return "";
  return R"(<section id="runs" aria-labelledby="runs-title">
<h2 id="runs-title">The runs</h2>
<div id="grid-options" class="scripted options">
<label>Filter <input type="search" id="filter" placeholder="euler, seed 7" autocomplete="off"></label>
<label>Rows <select id="rows"></select></label>
<label>Columns <select id="columns"></select></label>
<span id="found" role="status"></span>
</div>
<div id="grid" class="scripted scroller" tabindex="0" role="region" aria-label="Grid of the runs"></div>
)" + runs_table(report) +
         "</section>\n";
}

constexpr const char* kWatch = R"(<section id="watch" class="scripted" aria-labelledby="watch-title">
<h2 id="watch-title">Step by step</h2>
<div id="panes"></div>
<div id="player">
<button type="button" id="back" aria-label="One step back">&#9664;&#xFE0E;</button>
<button type="button" id="play">Play</button>
<button type="button" id="forward" aria-label="One step forward">&#9654;&#xFE0E;</button>
<input type="range" id="position" min="0" max="1" value="0" step="1" aria-label="Step">
<output id="where" for="position"></output>
</div>
<div class="options">
<fieldset id="kinds"><legend>Show</legend></fieldset>
<fieldset id="modes"><legend>Compare</legend>
<label><input type="radio" name="mode" value="side" checked> side by side</label>
<label><input type="radio" name="mode" value="wipe"> wipe across</label>
</fieldset>
<label>Speed <select id="speed"><option value="2">2 a second</option><option value="5" selected>5 a second</option>
<option value="10">10 a second</option><option value="20">20 a second</option></select></label>
</div>
<div id="wipe-options" class="options" hidden>
<label>Left <select id="wipe-left"></select></label>
<label class="wide">Border <input type="range" id="wipe" min="0" max="100" value="50"></label>
<label>Right <select id="wipe-right"></select></label>
</div>
<p class="keys"><kbd>&larr;</kbd> <kbd>&rarr;</kbd> step, <kbd>Space</kbd> plays, <kbd>Home</kbd> and <kbd>End</kbd> go to
the noise and to the picture. <span id="alignment"></span></p>
</section>
)";

std::string curves_section(const Report& report) {
  std::string charts;
  for (const Chart& chart : report_charts(report)) charts += chart_html(chart);
  return "<section id=\"curves\" aria-labelledby=\"curves-title\">\n<h2 id=\"curves-title\">In curves</h2>\n"
         "<div class=\"charts\">\n" +
         charts + "</div>\n</section>\n";
}

std::string run_sections(const Report& report) {
  if (report.runs.size() == 1)
    return "<article class=\"run\" data-run=\"0\" aria-label=\"The run\">\n" + run_body(report.runs.front(), 0) +
           "</article>\n";
  std::string sections;
  for (size_t i = 0; i < report.runs.size(); ++i) {
    const std::string number = std::to_string(i), title = "run-" + number + "-title";
    sections += "<article class=\"run\" id=\"run-" + number + "\" data-run=\"" + number + "\" aria-labelledby=\"" +
                title + "\">\n<h2 id=\"" + title + "\">" + bdi(escaped(report.runs[i].name, std::string::npos)) +
                "</h2>\n" + run_head(report.runs[i], i, false) + run_body(report.runs[i], i) + "</article>\n";
  }
  return sections;
}

std::string page_foot(const Report& report) {
  return "<footer>\n<p>" + html(report.about_pictures) + "</p>\n<p>Made by steplapse " + STEPLAPSE_VERSION +
         " from the " + (report.runs.size() == 1 ? "log of the run" : "logs of the runs") +
         ", without asking the network again. This page is one file, and loads nothing from anywhere" +
         (report.has_folder ? " but the folder of pictures beside it" : "") + ".</p>\n</footer>\n";
}

}  // namespace

std::string report_page(const Report& report) {
  return document_head(report) + (has_small_pictures(report) ? "<body class=\"small\">\n" : "<body>\n") +
         page_head(report) + "<main>\n" + grid_section(report) + kWatch + curves_section(report) +
         run_sections(report) + "</main>\n" + page_foot(report) + "<script type=\"application/json\" id=\"data\">" +
         json_in_html(page_data(report)) + "</script>\n<script>" + std::string(kReportScript) +
         "</script>\n</body>\n</html>\n";
}

std::string image(const ReportPicture& picture, const std::string& about, const std::string& more) {
  return "<img src=\"" + html(picture.source) + "\" width=\"" + std::to_string(picture.width) + "\" height=\"" +
         std::to_string(picture.height) + "\" alt=\"" + html(about) + "\"" + (more.empty() ? "" : " " + more) + ">";
}

std::string number_text(double number, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", digits, number);
  return plain(std::stod(text));
}

std::string ratio_text(const NoiseLevel& level) {
  const double ratio = noise_ratio(level);
  return std::isfinite(ratio) ? number_text(ratio, 3) : "infinite";
}

std::string name_for_people(const std::string& key) {
  std::string name = key;
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

}  // namespace steplapse
