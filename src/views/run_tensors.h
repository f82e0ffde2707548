#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/safetensors.h"
#include "record/facts.h"
#include "record/history.h"

namespace steplapse {

/// What can be exported of a run: xt, x0, eps, cond, uncond.
const std::vector<std::string>& exported_names();

/// A run's tensors, all with a row a step. docs/runs.md lists them.
///
/// xt is what the network was asked about, at the row's timestep, alpha and sigma; cond and uncond are its answers, NaN
/// where it was not asked; eps is the noise in xt by the guided answer; x0 is what the step took for the clean latents.
///
/// @param names  of exported_names(). Of cond and uncond, one that was never asked for is left out
/// @param at     the steps; empty: all. Each must be a step of the history
NamedTensors run_tensors(const History& history, const std::set<std::string>& names, const std::set<int64_t>& at);

/// What a file of them says of the run, as texts: its settings, its model, and what an answer is (`prediction_type`).
/// @param facts_json  of RunLog
std::map<std::string, std::string> run_metadata(const Facts& facts, const std::string& facts_json);

}  // namespace steplapse
