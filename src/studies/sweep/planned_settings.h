#pragma once

#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "studies/sweep/sweep_plan.h"

namespace steplapse {

/// The texts that the plan has for a cell, by name. Several changes of a prompt by one name stand in one text, with ; between.
std::map<std::string, std::string> planned_texts(const SweepPlan& plan, size_t cell);

/// A text of a plan as run.json would have it: a number where it is one, but for prompts.
nlohmann::ordered_json planned_value(const std::string& name, const std::string& text);

/// Adds to a cell's settings what the plan's axes set besides: `decoder`, `stop_at`, `weight` ...
void add_planned_settings(nlohmann::ordered_json& settings, const SweepPlan& plan, size_t cell);

}  // namespace steplapse
