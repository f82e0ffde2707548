#include "studies/sweep/sweep_check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/text.h"
#include "steplapse/error.h"
#include "studies/sweep/cell_order.h"
#include "studies/sweep/sweep_words.h"

namespace steplapse {
namespace {

bool sets_seeds_alone(const SweepAxis& axis) {
  return std::all_of(axis.points.begin(), axis.points.end(),
                     [](const SweepSettings& point) { return point.size() == 1 && point.front().first == "seed"; });
}

void check_point(const SweepSettings& settings, const ReadSetting& read_setting, const std::string& place) {
  try {
    CellRequest scratch;
    for (const auto& [name, text] : settings) {
      if (changes_words(name)) {
        change_words(scratch.settings, name, text);
      } else {
        read_setting(scratch, name, text);
      }
    }
  } catch (const UsageError& error) {
    throw UsageError(place + ": " + error.what());
  }
}

size_t cells_of(const SweepPlan& plan, const std::vector<RefusedKind>& refused) {
  return refused.size() * CellKinds(plan).cells_each();
}

}  // namespace

CellKinds::CellKinds(const SweepPlan& plan) {
  for (const SweepAxis& axis : plan.axes) {
    sizes_.push_back(axis.points.size());
    seeds_only_.push_back(sets_seeds_alone(axis));
    cells_ *= sizes_.back();
    if (!seeds_only_.back()) kinds_ *= sizes_.back();
  }
}

size_t CellKinds::of(size_t cell) const {
  size_t kind = 0, place = 1;
  for (size_t i = sizes_.size(); i-- > 0; cell /= sizes_[i]) {
    if (seeds_only_[i]) continue;
    kind += place * (cell % sizes_[i]);
    place *= sizes_[i];
  }
  return kind;
}

size_t CellKinds::first_cell(size_t kind) const {
  size_t cell = 0, place = 1;
  for (size_t i = sizes_.size(); i-- > 0; place *= sizes_[i]) {
    if (seeds_only_[i]) continue;
    cell += place * (kind % sizes_[i]);
    kind /= sizes_[i];
  }
  return cell;
}

void check_settings(const SweepPlan& plan, const ReadSetting& read_setting, const std::string& place) {
  check_point(plan.fixed, read_setting, place + ": fixed");
  for (size_t i = 0; i < plan.axes.size(); ++i) {
    const std::string axis = place + ": axes[" + std::to_string(i) + "] " + in_quotes(plan.axes[i].name);
    for (size_t p = 0; p < plan.axes[i].points.size(); ++p)
      check_point(plan.axes[i].points[p], read_setting, axis + ", value " + std::to_string(p + 1));
  }
  check_words(plan, place);
}

std::vector<RefusedKind> look_through(const SweepPlan& plan, const SweepCells& cells, const VisitKind& visit) {
  const CellKinds kinds(plan);
  const CellOrder order(plan);
  std::vector<RefusedKind> refused;
  for (size_t place = 0; place < order.size(); ++place) {
    const size_t cell = order.cell_at(place), kind = kinds.of(cell);
    if (kinds.first_cell(kind) != cell) continue;
    CellRequest request;
    std::optional<Task> task;
    try {
      request = cells.request(cell);
      task = cells.task_of(cell, request, {});
    } catch (const UsageError& error) {
      refused.push_back({kind, cell, error.what()});
    }
    if (task && visit) visit(cell, request, *task);
  }
  std::ranges::sort(refused, {}, &RefusedKind::first_cell);
  if (refused.empty()) return refused;
  if (!plan.skip_invalid) throw UsageError(refused_text(plan, refused) + "; `skip_invalid` leaves them out");
  if (refused.size() == kinds.size()) throw UsageError(refused_text(plan, refused) + "; none is left");
  return refused;
}

std::string cell_text(const SweepPlan& plan, size_t cell) {
  std::vector<std::string> texts;
  const std::vector<size_t> points = plan.points_of(cell);
  for (size_t i = 0; i < points.size(); ++i) {
    for (const auto& [name, text] : plan.axes[i].points[points[i]])
      texts.push_back(name + " " +
                      (text.empty() || text.find(' ') != std::string::npos ? in_quotes(text, 40) : escaped(text, 40)));
  }
  return joined(texts, ", ");
}

std::string refused_text(const SweepPlan& plan, const std::vector<RefusedKind>& refused) {
  const RefusedKind& first = refused.front();
  const size_t count = cells_of(plan, refused);
  const std::string which = cell_text(plan, first.first_cell);
  const std::string number = std::to_string(first.first_cell + 1);
  return (plan.cells() == 1
              ? ""
              : std::to_string(count) + " of " + std::to_string(plan.cells()) + " cells can't be made: cell " + number +
                    (which.empty() ? "" : " (" + which + ")") + ": ") +
         first.reason;
}

}  // namespace steplapse
