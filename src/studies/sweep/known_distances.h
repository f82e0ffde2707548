#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "studies/sweep/sweep_distances.h"

namespace steplapse {

/// By cell, the distances in results.jsonl that are still true: the cell is compared with the same one, and the pictures of
/// both are as they were then. It saves reading all pictures again. None: it has to be measured.
std::vector<std::optional<SweepDistance>> known_distances(const Sweep& sweep,
                                                          const std::vector<std::optional<size_t>>& references);

}  // namespace steplapse
