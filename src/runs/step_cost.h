#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "steplapse/bundle.h"
#include "steplapse/engine.h"

namespace steplapse {

/// Time and memory of one call of a network.
struct Taken {
  int64_t cells = 0;  ///< of its latents: height times width
  double seconds = 0;
  double attention_seconds = 0;  ///< of attention, which grows with the cells squared
  int64_t bytes = 0;             ///< the most that tensors of its operators took at one time
};
Taken taken_by(int64_t cells, const std::function<void()>& call);

/// A rough estimate for another number of cells.
double seconds_at(int64_t cells, const Taken& taken);

/// A lower bound for more cells than both have together. A tensor grows with the cells or with their square, so memory
/// never grows slower than it did between the two. Scratch memory of operators comes on top.
int64_t bytes_at(int64_t cells, const Taken& small, const Taken& larger);

/// Estimates what a size will take before it is drawn, by asking the networks about smaller sizes. Sizes up to twice the
/// pixels of the bundle's own are not looked at. @return a warning where a step takes minutes, or needs swap
/// @throws MemoryError  a step or the picture certainly needs more memory than there is
std::vector<std::string> check_cost(const Bundle& bundle, const Plan& plan, const Guidance& guidance);

/// 90 seconds are "about 2 minutes".
std::string rough_time(double seconds);

/// Warns of or refuses something that takes this many bytes. @param with_swap  memory and swap together
std::vector<std::string> check_bytes(const std::string& what, int64_t bytes, int64_t available, int64_t with_swap);

}  // namespace steplapse
