#include "runs/explanation_text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "base/text.h"

namespace steplapse {
namespace {

std::string percent(double share) { return plain(std::round(share * 1000) / 10) + " %"; }

std::string asked_text(const WithoutSecond& asked, double end_rms) {
  return "Asked so, the network ends " + fixed(asked.distance, 4) + " away (" + percent(asked.distance / end_rms) +
         "); the pictures differ by " + fixed(asked.picture.mean_abs, 2) + " of 255 on average (PSNR " +
         (std::isfinite(asked.picture.psnr) ? fixed(asked.picture.psnr, 1) + " dB" : "infinite") + ").";
}

std::string rule_text(const ExplainedRun& run, const std::string& rule, const std::string& condition,
                      const std::string& way_to_ask) {
  const auto& rules = run.numbers.leaving_out;
  const auto found =
      std::find_if(rules.begin(), rules.end(), [&](const LeavingOut& each) { return each.rule == rule; });
  if (found == rules.end())
    return "The second answer was needed to the end, if it is left out where " + condition + ".";
  const std::string text = "From step " + std::to_string(found->from) +
                           " on the second answer could have been left out, if it is where " + condition + ": " +
                           std::to_string(found->spared) + " of " + counted(run.numbers.guided, "second answer") + ". ";
  const auto index = static_cast<size_t>(found - rules.begin());
  if (index < run.asked.size()) return text + asked_text(run.asked[index], run.numbers.end_rms);
  return text + "Estimate: the end moves by " + fixed(found->estimate, 4) + " (" +
         percent(found->estimate / run.numbers.end_rms) + ")." + (way_to_ask.empty() ? "" : " ") + way_to_ask;
}

/// 3, 5 to 9
std::string ranges(const std::vector<int64_t>& steps) {
  std::vector<std::string> texts;
  for (size_t first = 0, next; first < steps.size(); first = next) {
    next = first + 1;
    while (next < steps.size() && steps[next] == steps[next - 1] + 1) ++next;
    texts.push_back(std::to_string(steps[first]) +
                    (next - first > 1 ? " to " + std::to_string(steps[next - 1]) : std::string()));
  }
  return joined(texts, ", ");
}

}  // namespace

std::string fixed(double number, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, number);
  return text;
}

std::string settled_heading(const ExplainedRun& run) {
  return "When it settled, measured on " + run.measured_on + ": the step from which on a part stays within " +
         percent(kSettled) + " of what it is at the end.";
}

std::string meaning_of_part(const std::string& part) {
  static const std::map<std::string, std::string> meanings{{"colours", "the mean of each channel"},
                                                           {"coarse form", "frequencies up to 1/4 of the finest"},
                                                           {"middle", "up to 1/2"},
                                                           {"details", "above 1/2"}};
  return meanings.at(part);
}

std::string settled_text(const std::optional<int64_t>& step) {
  return step ? "from step " + std::to_string(*step) + " on" : "not before the end";
}

std::string last_region_text(const ExplainedRun& run) {
  const Region& last = run.settlings.last;
  return "Last of nine regions came the one at " + last.name + " (" + std::to_string(last.width) + " x " +
         std::to_string(last.height) + " pixels from " + std::to_string(last.x) + ", " + std::to_string(last.y) +
         "): " + settled_text(last.step) + ".";
}

std::vector<std::string> leaving_out_texts(const ExplainedRun& run, const std::string& way_to_ask) {
  if (run.numbers.guided == 0) {
    return {"The network gave one answer a step (guidance scale " + plain(run.facts.recipe.guidance.scale) +
            "), so there is no second one to leave out."};
  }
  return {rule_text(run, "alike",
                    "the answers stay within " + fixed(degrees_of(kAlike), 1) + " degrees (a cosine of " +
                        plain(kAlike) + ")",
                    way_to_ask),
          rule_text(run, "little", "the end moves by " + percent(kLittle) + " at most", way_to_ask)};
}

std::string straight_text(const ExplainedRun& run) {
  const auto& steps = run.numbers.straight;
  const std::string threshold = percent(kStraight) + " of the end's rms";
  return steps.empty() ? "x0's second difference was above " + threshold + " in all steps."
                       : "x0 went straight on, with a second difference of at most " + threshold + ", in " +
                             (steps.size() > 1 ? "steps " : "step ") + ranges(steps) + ".";
}

}  // namespace steplapse
