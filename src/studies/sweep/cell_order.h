#pragma once

#include <cstddef>
#include <vector>

#include "studies/sweep/sweep_plan.h"

namespace steplapse {

/// In which order cells are made: those of one prompt and starting noise together, since they ask alike; among them those
/// of the most steps first, so that a batch does not end with one long run alone.
class CellOrder {
 public:
  explicit CellOrder(const SweepPlan& plan);

  size_t size() const { return groups_.size() * members_.size(); }
  /// @param place  0 to size() - 1
  size_t cell_at(size_t place) const { return groups_[place / members_.size()] + members_[place % members_.size()]; }

  /// The steps that the plan asks for there. @param usual  where it says nothing of steps
  size_t steps_at(size_t place, size_t usual) const;

 private:
  std::vector<size_t> groups_;   // what the axes of prompt and noise add to a cell's number
  std::vector<size_t> members_;  // what the others add
  std::vector<size_t> steps_;    // of each member; 0 where no axis says it
  size_t fixed_steps_ = 0;
};

}  // namespace steplapse
