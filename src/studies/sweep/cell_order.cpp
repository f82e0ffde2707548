#include "studies/sweep/cell_order.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <set>
#include <string>

namespace steplapse {
namespace {

enum class Concern { prompt, noise, other };

bool sets_any_of(const SweepAxis& axis, const std::set<std::string>& names) {
  return std::any_of(axis.points.begin(), axis.points.end(), [&](const SweepSettings& point) {
    return std::any_of(point.begin(), point.end(), [&](const auto& setting) { return names.contains(setting.first); });
  });
}

Concern concern_of(const SweepAxis& axis) {
  static const std::set<std::string> prompt{"prompt",  "negative_prompt", "prompt_syntax",
                                            "replace", "weight",          "repeat"},
      noise{"seed", "rng", "size", "width", "height", "latents"};
  return sets_any_of(axis, prompt) ? Concern::prompt : sets_any_of(axis, noise) ? Concern::noise : Concern::other;
}

/// Of a point: the steps that it sets, or the levels that it lists.
size_t steps_of(const SweepSettings& point) {
  size_t steps = 0;
  for (const auto& [name, text] : point) {
    if (name == "steps") std::from_chars(text.data(), text.data() + text.size(), steps);
    if (name == "timesteps" || name == "sigmas") steps = 1 + static_cast<size_t>(std::ranges::count(text, ','));
  }
  return steps;
}

/// What some of the axes add to a cell's number, and how many steps they set.
struct Part {
  size_t cells = 0, steps = 0;
};

/// Each choice of points of these axes, the last axis fastest.
class Parts {
 public:
  void add(const SweepAxis& axis, size_t stride) {
    std::vector<Part> longer;
    longer.reserve(parts_.size() * axis.points.size());
    for (const Part& part : parts_) {
      for (size_t i = 0; i < axis.points.size(); ++i)
        longer.push_back({part.cells + i * stride, std::max(part.steps, steps_of(axis.points[i]))});
    }
    parts_ = std::move(longer);
  }
  void sort_longest_first() {
    std::ranges::stable_sort(parts_, [](const Part& a, const Part& b) { return a.steps > b.steps; });
  }
  std::vector<size_t> each(size_t Part::* number) const {
    std::vector<size_t> numbers;
    for (const Part& part : parts_) numbers.push_back(part.*number);
    return numbers;
  }

 private:
  std::vector<Part> parts_{{}};
};

}  // namespace

CellOrder::CellOrder(const SweepPlan& plan) {
  std::vector<size_t> strides(plan.axes.size());
  size_t stride = 1;
  for (size_t a = plan.axes.size(); a-- > 0;) {
    strides[a] = stride;
    stride *= plan.axes[a].points.size();
  }
  Parts groups, members;
  for (const Concern concern : {Concern::prompt, Concern::noise, Concern::other}) {
    for (size_t a = 0; a < plan.axes.size(); ++a) {
      if (concern_of(plan.axes[a]) == concern)
        (concern == Concern::other ? members : groups).add(plan.axes[a], strides[a]);
    }
  }
  members.sort_longest_first();
  groups_ = groups.each(&Part::cells);
  members_ = members.each(&Part::cells);
  steps_ = members.each(&Part::steps);
  fixed_steps_ = steps_of(plan.fixed);
}

size_t CellOrder::steps_at(size_t place, size_t usual) const {
  const size_t steps = steps_[place % members_.size()];
  return steps > 0 ? steps : fixed_steps_ > 0 ? fixed_steps_ : usual;
}

}  // namespace steplapse
