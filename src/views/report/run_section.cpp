#include "base/text.h"
#include "views/report/html.h"
#include "views/report/page.h"
#include "views/report/quantities.h"

namespace steplapse {
namespace {

std::string paragraph(const std::string& text) { return "<p>" + html(text) + "</p>\n"; }

std::string size_text(const ReportPicture& picture) {
  return std::to_string(picture.width) + " x " + std::to_string(picture.height) + " pixels";
}

// ---- the prompt

std::string token_html(const ReportToken& token) {
  std::string text = "<li>" + (token.piece.empty() ? "" : "<b>" + bdi(token.piece) + "</b> ") + "<span>" +
                     std::to_string(token.id) + "</span>";
  if (token.weight != 1) text += " <i>&times;" + plain(token.weight) + "</i>";
  return text + "</li>";
}

std::string tokens_html(const ReportPrompt& prompt) {
  std::string text;
  for (const auto& chunk : prompt.chunks) {
    text += "<ol class=\"tokens\">";
    for (const ReportToken& token : chunk) text += token_html(token);
    text += "</ol>\n";
  }
  return text;
}

std::string prompts_html(const RunReport& run) {
  std::string text;
  for (const ReportPrompt& prompt : run.prompts) {
    const bool is_first = &prompt == &run.prompts.front();
    if (!is_first && !prompt.text) continue;
    std::string what = is_first ? "Tokens" : name_for_people(prompt.kind);
    if (prompt.first_step > 1) what += " from step " + std::to_string(prompt.first_step);
    text += "<div class=\"prompt\"><p class=\"label\">" + html(what) + "</p>\n";
    if (!is_first) text += "<p class=\"words\">" + bdi(*prompt.text) + "</p>\n";
    text += tokens_html(prompt) + "</div>\n";
  }
  return text;
}

std::string facts_line(const RunReport& run) {
  std::vector<std::string> facts{counted(std::ssize(run.steps), "step") + " of " + run.setting("sampler"),
                                 "schedule " + run.setting("schedule"),
                                 "seed " + run.setting("seed"),
                                 "guidance scale " + run.setting("guidance_scale"),
                                 size_text(run.final),
                                 "model " + escaped(run.setting("model")),
                                 run.ending};
  std::string items;
  for (const std::string& fact : facts) items += "<li>" + bdi(fact) + "</li>";
  return "<ul class=\"facts\">" + items + "</ul>\n";
}

// ---- frames

const char* title_of(FrameKind kind) {
  switch (kind) {
    case FrameKind::x0: return "x0: the picture that the model expects";
    case FrameKind::xt: return "xt: the noisy latents themselves";
    case FrameKind::diff: return "Change of x0 since the step before";
    default: return "";
  }
}

std::string frame_about(const ReportFrame& frame) {
  return std::string(name_of(frame.kind)) + " at step " + std::to_string(frame.step) + ", sigma " +
         ratio_text(frame.level);
}

std::string frame_html(const ReportFrame& frame) {
  return "<li><figure>" +
         image(frame.picture, frame_about(frame),
               "class=\"frame\" decoding=\"async\" data-kind=\"" + std::string(name_of(frame.kind)) +
                   "\" data-step=\"" + std::to_string(frame.step) + "\" data-sigma=\"" + ratio_text(frame.level) +
                   "\"") +
         "<figcaption>" + std::to_string(frame.step) + " <span>&sigma; " + ratio_text(frame.level) +
         "</span></figcaption></figure></li>\n";
}

std::string strip(const RunReport& run, size_t index, FrameKind kind) {
  std::string items;
  for (const ReportFrame& frame : run.frames) {
    if (frame.kind == kind) items += frame_html(frame);
  }
  if (items.empty()) return "";
  const std::string title = "strip-" + std::to_string(index) + "-" + std::string(name_of(kind));
  return "<h4 id=\"" + title + "\">" + title_of(kind) + "</h4>\n<ol class=\"strip\" tabindex=\"0\" aria-labelledby=\"" +
         title + "\">\n" + items + "</ol>\n";
}

std::string frames_section(const RunReport& run, size_t index) {
  std::string strips;
  for (const FrameKind kind : {FrameKind::x0, FrameKind::xt, FrameKind::diff}) strips += strip(run, index, kind);
  return "<section class=\"frames\">\n<h3>All frames</h3>\n" + strips + "</section>\n";
}

// ---- what the log says

std::string settled_table(const RunReport& run) {
  std::string rows;
  for (const ReportSettling& part : run.settled)
    rows += "<tr><th scope=\"row\">" + html(part.part) + "</th><td>" + html(part.meaning) + "</td><td>" +
            html(part.when) + "</td></tr>\n";
  return "<div class=\"scroller\" tabindex=\"0\" role=\"group\" aria-label=\"When parts settled\">"
         "<table class=\"settled\">\n<thead><tr><th scope=\"col\">part</th><th scope=\"col\">what it is</th>"
         "<th scope=\"col\">settled</th></tr></thead>\n<tbody>\n" +
         rows + "</tbody></table></div>\n";
}

/// The colours of the map from the first step to the last; the same for all maps.
std::string settled_scale(const RunReport& run, size_t index) {
  const std::string id = "heat-" + std::to_string(index);
  std::string stops;
  for (const auto& [offset, colour] : {std::pair("0", "#000"), {"0.333", "#f00"}, {"0.667", "#ff0"}, {"1", "#fff"}})
    stops += "<stop offset=\"" + std::string(offset) + "\" stop-color=\"" + colour + "\"/>";
  return "<div class=\"scale\"><span>step " + std::to_string(run.steps.front().step) +
         "</span><svg viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><linearGradient id=\"" +
         id + "\">" + stops + "</linearGradient><rect width=\"100\" height=\"8\" fill=\"url(#" + id +
         ")\"/></svg><span>step " + std::to_string(run.steps.back().step) + "</span></div>";
}

std::string settled_map(const RunReport& run, size_t index) {
  if (!run.settled_map) return "";
  return "<figure class=\"map\">" +
         image(*run.settled_map, "Map of the step after which each pixel stayed as it is at the end") +
         settled_scale(run, index) + "<figcaption>" + html(run.settled_scale) + "</figcaption></figure>\n";
}

std::string explanation_section(const RunReport& run, size_t index) {
  std::string text = "<section class=\"explanation\">\n<h3>When it settled</h3>\n<div class=\"columns\">\n<div>" +
                     paragraph(run.settled_heading) + settled_table(run);
  for (const std::string& each : run.explanation) text += paragraph(each);
  return text + "</div>\n" + settled_map(run, index) + "</div>\n</section>\n";
}

std::string spectrum_section(const RunReport& run) {
  return run.spectrum ? "<section class=\"spectrum\">\n<h3>Coarse forms come first</h3>\n" + chart_html(*run.spectrum) +
                            "</section>\n"
                      : "";
}

// ---- numbers and settings

std::string number_cell(const ReportStep& step, const std::string& key) {
  const auto number = step.numbers.find(key);
  return "<td>" + (number == step.numbers.end() ? std::string("&ndash;") : number_text(number->second, 4)) + "</td>";
}

std::string numbers_table(const RunReport& run) {
  std::string head = "<th scope=\"col\">step</th><th scope=\"col\">timestep</th>", rows;
  for (const ReportQuantity& quantity : report_quantities())
    head += "<th scope=\"col\">" + html(quantity.label) + "</th>";
  for (const ReportStep& step : run.steps) {
    rows += "<tr data-step=\"" + std::to_string(step.step) + "\"><th scope=\"row\">" + std::to_string(step.step) +
            "</th><td>" + (step.level.timestep ? plain(*step.level.timestep) : "&ndash;") + "</td>";
    for (const ReportQuantity& quantity : report_quantities()) rows += number_cell(step, quantity.key);
    rows += "</tr>\n";
  }
  return "<details class=\"numbers\"><summary>All steps in numbers</summary>\n"
         "<div class=\"scroller\" tabindex=\"0\" role=\"group\" aria-label=\"All steps in "
         "numbers\"><table>\n<thead><tr>" +
         head + "</tr></thead>\n<tbody>\n" + rows + "</tbody></table></div></details>\n";
}

std::string settings_table(const RunReport& run) {
  std::string rows;
  for (const auto& [key, value] : run.settings)
    rows += "<tr><th scope=\"row\">" + html(name_for_people(key)) + "</th><td>" + bdi(value) + "</td></tr>\n";
  return "<details class=\"settings\"><summary>Settings and hashes</summary>\n"
         "<div class=\"scroller\" tabindex=\"0\" role=\"group\" aria-label=\"Settings and "
         "hashes\"><table>\n<tbody>\n" +
         rows + "</tbody></table></div></details>\n";
}

std::string command_section(const RunReport& run, size_t index) {
  const std::string number = std::to_string(index);
  return "<section class=\"again\">\n<h3>Make it again</h3>\n<div class=\"command\" data-run=\"" + number +
         "\">\n<pre tabindex=\"0\" role=\"group\" aria-label=\"The command\"><code>" + html(command_text(run.command)) +
         "</code></pre>\n</div>\n</section>\n";
}

}  // namespace

std::string run_head(const RunReport& run, size_t index, bool alone) {
  const std::string about = "The picture that the run ended with, " + size_text(run.final);
  // Of several runs the table has the pictures, and the page each of them once.
  const std::string picture =
      alone ? image(run.final, about, "class=\"final\" data-final=\"" + std::to_string(index) + "\"") + "\n" : "";
  return "<div class=\"head\">\n" + picture + "<div>\n" + (alone ? "<h1>" : "<p class=\"words\">") +
         (run.prompt().empty() ? "<i>no words</i>" : bdi(run.prompt())) + (alone ? "</h1>\n" : "</p>\n") +
         facts_line(run) + (run.note.empty() ? "" : "<p class=\"note\">" + html(run.note) + "</p>\n") +
         prompts_html(run) + "</div>\n</div>\n";
}

std::string run_body(const RunReport& run, size_t index) {
  return frames_section(run, index) + explanation_section(run, index) + spectrum_section(run) + numbers_table(run) +
         settings_table(run) + command_section(run, index);
}

}  // namespace steplapse
