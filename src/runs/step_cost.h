#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "steplapse/bundle.h"
#include "steplapse/engine.h"

namespace steplapse {

/// What a call of a network took.
struct Taken {
  int64_t cells = 0;  ///< of its latents: height times width
  double seconds = 0;
  double attention_seconds = 0;  ///< the part in which each cell attends to all: it grows with the cells squared
  int64_t bytes = 0;             ///< of the tensors that its operators gave and that lived at one time, at most
};
Taken taken_by(int64_t cells, const std::function<void()>& call);

/// A rough figure for another number of cells.
double seconds_at(int64_t cells, const Taken& taken);

/// A lower bound for more cells than both have together: a tensor grows with the cells or with their square, so memory never
/// grows slower than it did between the two. What an operator takes for itself comes on top.
int64_t bytes_at(int64_t cells, const Taken& small, const Taken& larger);

/// Looks at what a size will take before it is drawn, by asking the networks about smaller ones. Ordinary sizes, up to twice
/// the pixels of the bundle's own, are not looked at. @return a warning where a step takes minutes, or needs swap
/// @throws MemoryError  a step or the picture needs more than there is, for certain
std::vector<std::string> check_cost(const Bundle& bundle, const Plan& plan, const Guidance& guidance);

/// 90 seconds are "about 2 minutes".
std::string rough_time(double seconds);

/// The warning or refusal of something that takes so many bytes. @param with_swap  the most that can be had
std::vector<std::string> check_bytes(const std::string& what, int64_t bytes, int64_t available, int64_t with_swap);

}  // namespace steplapse
