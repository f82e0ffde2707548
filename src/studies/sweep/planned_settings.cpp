#include "studies/sweep/planned_settings.h"

#include "studies/sweep/sweep_words.h"

namespace steplapse {
namespace {

void add_texts(std::map<std::string, std::string>& texts, const SweepSettings& settings) {
  for (const auto& [name, text] : settings) {
    std::string& known = texts[name];
    known = changes_words(name) && !known.empty() ? known + "; " + text : text;
  }
}

}  // namespace

std::map<std::string, std::string> planned_texts(const SweepPlan& plan, size_t cell) {
  std::map<std::string, std::string> texts;
  add_texts(texts, plan.settings_of(cell));
  return texts;
}

nlohmann::ordered_json planned_value(const std::string& name, const std::string& text) {
  if (name == "prompt" || name == "negative_prompt") return text;
  const auto value = nlohmann::ordered_json::parse(text, nullptr, false);
  return value.is_number() ? value : nlohmann::ordered_json(text);
}

void add_planned_settings(nlohmann::ordered_json& settings, const SweepPlan& plan, size_t cell) {
  const std::vector<size_t> points = plan.points_of(cell);
  std::map<std::string, std::string> texts;
  for (size_t i = 0; i < points.size(); ++i) add_texts(texts, plan.axes[i].points[points[i]]);
  for (const auto& [name, text] : texts) {
    if (!settings.contains(name)) settings[name] = planned_value(name, text);
  }
}

}  // namespace steplapse
