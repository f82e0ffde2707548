#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "studies/sweep/sweep_cells.h"
#include "studies/sweep/sweep_plan.h"

namespace steplapse {

/// The flags that say what a sweep's pictures are, as they were given.
struct AxisFlags {
  std::vector<std::string> prompts, seeds, replace, weight, repeat, zip;
  std::string prompts_file, count;
  std::map<std::string, std::vector<std::string>> settings;  ///< by flag
};

void add_axis_flags(CLI::App& command, AxisFlags& flags);

/// The axes and what all cells have: prompts first, then in the order in which the flags were given.
/// @param notes  gets a line about each choice that was made for the user
/// @throws UsageError  a value that means nothing, or flags that contradict each other
void read_axes(const CLI::App& command, const AxisFlags& flags, SweepPlan& plan, std::vector<std::string>& notes);

}  // namespace steplapse
