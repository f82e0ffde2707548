#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "studies/sweep/sweep_cells.h"
#include "studies/sweep/sweep_plan.h"

namespace steplapse {

/// Cells of a sweep that differ in nothing but their seed are of one kind: what is true of one is true of all, but for their
/// noise. Kind k is the number that the points of all other axes make, the last of them fastest.
class CellKinds {
 public:
  explicit CellKinds(const SweepPlan& plan);

  size_t size() const { return kinds_; }
  size_t of(size_t cell) const;
  size_t first_cell(size_t kind) const;
  size_t cells_each() const { return cells_ / kinds_; }

 private:
  std::vector<size_t> sizes_;     // points of each axis
  std::vector<bool> seeds_only_;  // of each axis
  size_t kinds_ = 1, cells_ = 1;
};

/// A kind of cells that their sampler or model refuses.
struct RefusedKind {
  size_t kind, first_cell;
  std::string reason;
};

/// Checks that every text of a plan means something. @param place  of the plan, for messages
/// @throws UsageError  one does not, or a word is in no prompt
void check_settings(const SweepPlan& plan, const ReadSetting& read_setting, const std::string& place);

/// Looks through all kinds of cells, in the order in which they are made. @return those that are refused
/// @param visit  is told the first cell of each that is not refused; may be empty
/// @throws UsageError  where some are refused and the plan does not skip them, or all are
using VisitKind = std::function<void(size_t cell, const CellRequest& request, const Task& task)>;
std::vector<RefusedKind> look_through(const SweepPlan& plan, const SweepCells& cells, const VisitKind& visit = {});

/// The settings of a cell's points, for people: steps 20, sampler euler.
std::string cell_text(const SweepPlan& plan, size_t cell);

/// The one line about cells that are refused.
std::string refused_text(const SweepPlan& plan, const std::vector<RefusedKind>& refused);

}  // namespace steplapse
