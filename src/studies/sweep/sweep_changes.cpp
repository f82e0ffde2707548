#include "studies/sweep/sweep_changes.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/text.h"
#include "studies/sweep/sweep_check.h"
#include "views/selection_json.h"

namespace steplapse {
namespace {

constexpr size_t kCellsLookedAt = 100'000;

std::string texts_of_point(const SweepSettings& point) {
  std::vector<std::string> texts;
  for (const auto& [name, text] : point) texts.push_back(text);
  return joined(texts, " ");
}

/// 5, 10, 20 or, where they are many, 5, 10 … 1000.
std::string values_text(const SweepAxis& axis) {
  constexpr size_t kShown = 6;
  std::vector<std::string> texts;
  for (size_t i = 0; i < axis.points.size(); ++i) {
    const bool shown = axis.points.size() <= kShown || i + 1 < kShown || i + 1 == axis.points.size();
    if (shown) texts.push_back(escaped(texts_of_point(axis.points[i]), 30));
    if (!shown && i + 1 == kShown) texts.emplace_back("…");
  }
  return joined(texts, ",");
}

/// What each name stands for: the text of what all cells have, or the values of an axis.
std::map<std::string, std::string> by_name(const SweepPlan& plan) {
  std::map<std::string, std::string> names;
  for (const auto& [name, text] : plan.fixed) {
    std::string& known = names[name];
    known += (known.empty() ? "" : ",") + escaped(text, 30);
  }
  for (const SweepAxis& axis : plan.axes) names[axis.name] = values_text(axis);
  return names;
}

std::vector<std::string> changed_names(const SweepPlan& there, const SweepPlan& asked) {
  const auto before = by_name(there), now = by_name(asked);
  std::vector<std::string> changes;
  for (const auto& [name, text] : before) {
    const auto found = now.find(name);
    if (found == now.end()) changes.push_back(name + " " + text + " is there alone");
    if (found != now.end() && found->second != text)
      changes.push_back(name + " is " + text + " there and " + found->second + " here");
  }
  for (const auto& [name, text] : now) {
    if (!before.contains(name)) changes.push_back(name + " " + text + " is not there");
  }
  return changes;
}

SweepSettings sorted_settings(const SweepPlan& plan, size_t cell) {
  SweepSettings settings = plan.settings_of(cell);
  std::stable_sort(settings.begin(), settings.end(),
                   [](const auto& left, const auto& right) { return left.first < right.first; });
  return settings;
}

std::string first_changed_cell(const SweepPlan& there, const SweepPlan& asked) {
  const size_t both = std::min({there.cells(), asked.cells(), kCellsLookedAt});
  for (size_t cell = 0; cell < both; ++cell) {
    if (sorted_settings(there, cell) == sorted_settings(asked, cell)) continue;
    const std::string before = cell_text(there, cell), now = cell_text(asked, cell);
    const std::string number = "cell " + std::to_string(cell + 1);
    if (before == now) return "the first that differs is " + number + (now.empty() ? "" : " (" + now + ")");
    return number + " is (" + before + ") there and (" + now + ") here";
  }
  if (there.cells() == asked.cells()) return "";
  return std::to_string(there.cells()) + " cells there and " + std::to_string(asked.cells()) + " here";
}

}  // namespace

std::string changes_of(const SweepPlan& there, const SweepPlan& asked) {
  if (sha256_of(there) == sha256_of(asked)) return "";
  std::vector<std::string> changes = changed_names(there, asked);
  if (there.model_sha256 != asked.model_sha256) changes.emplace_back("the model is another");
  if (there.skip_invalid != asked.skip_invalid)
    changes.push_back("`skip_invalid` is " + std::string(there.skip_invalid ? "there alone" : "not there"));
  const bool other_frames = selection_json(there.frames) != selection_json(asked.frames) ||
                            there.frames.count_files != asked.frames.count_files;
  if (other_frames) changes.emplace_back("its frames are others");
  if (changes.empty()) changes.emplace_back("its axes are in another order");
  const std::string cell = first_changed_cell(there, asked);
  if (!cell.empty()) changes.push_back(cell);
  return joined(changes, "; ");
}

}  // namespace steplapse
