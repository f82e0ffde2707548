#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "studies/sweep/sweep_cells.h"
#include "studies/sweep/sweep_check.h"
#include "studies/sweep/sweep_plan.h"

namespace steplapse {

/// What cells of one size ask of the networks.
struct SizeWork {
  int64_t calls = 0;                        ///< questions of samplers
  int64_t rows = 0;                         ///< answers to a prompt or a negative prompt: one or two a question
  int64_t asked_calls = 0, asked_rows = 0;  ///< of them, once what is equal is asked once
  int64_t decodes = 0;
};

/// What a sweep will do, known before it begins.
struct SweepSurvey {
  size_t cells = 0, refused = 0;  ///< refused: those of the cells that are left out
  std::vector<RefusedKind> refused_kinds;
  std::map<std::pair<int64_t, int64_t>, SizeWork> by_size;  ///< by width and height
  int64_t files = 0, bytes = 0;                             ///< bytes: about, at most
  bool may_stop = false;         ///< some cells have a rule that ends them earlier: the numbers are the most
  bool sampler_decides = false;  ///< some cells' samplers choose how often they ask: the numbers are guesses
  bool shares_more = false;      ///< too many kinds of cells to count all that they share
  std::set<std::string> decoders;
  size_t typical_cell = 0;  ///< one that is not refused

  SizeWork work() const;  ///< of all sizes
};

/// Looks through a plan's cells. @param by_rows  as in Engine::share_answers
/// @throws UsageError  as look_through
SweepSurvey survey(const SweepPlan& plan, const Manifest& manifest, const SweepCells& cells, bool by_rows);

}  // namespace steplapse
