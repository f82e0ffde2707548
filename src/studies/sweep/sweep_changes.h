#pragma once

#include <string>

#include "studies/sweep/sweep_plan.h"

namespace steplapse {

/// How a plan differs from the one that is in a sweep's folder, in one line for people: which settings and axes do, and the
/// first cell that does. "" where all cells are equal (the model's path may differ).
std::string changes_of(const SweepPlan& there, const SweepPlan& asked);

}  // namespace steplapse
