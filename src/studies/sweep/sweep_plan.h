#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "views/frames.h"

namespace steplapse {

/// Settings by the names that a prompts file has for them, with their texts: {"guidance_scale", "7.5"}. They are set in this
/// order. Beside those of a picture there are `decoder`, `stop_at`, `stop_when_converged` and `would_stop`, and what changes
/// the prompt: `replace`, `weight` and `repeat`, each WORD=VALUE.
using SweepSettings = std::vector<std::pair<std::string, std::string>>;

/// An axis of a sweep: each cell takes one of its points.
struct SweepAxis {
  std::string name;                   ///< `steps`; of joined axes `steps,guidance_scale`
  std::vector<SweepSettings> points;  ///< what each of them sets; at least one
};

/// A sweep: one picture for each choice of a point of every axis. docs/sweeps.md has its file.
struct SweepPlan {
  static constexpr int kVersion = 1;
  std::filesystem::path model;  ///< the bundle's folder
  std::string model_sha256;     ///< of its model.json
  SweepSettings fixed = {};     ///< of all cells
  std::vector<SweepAxis> axes;  ///< the last one changes from each cell to the next
  bool skip_invalid = false;    ///< cells that their sampler refuses are left out; else they refuse the sweep
  FrameSelection frames = {};   ///< without kinds: final pictures alone

  size_t cells() const;                              ///< the product of the axes' numbers of points
  std::vector<size_t> points_of(size_t cell) const;  ///< which point of each axis the cell takes, from 0
  SweepSettings settings_of(size_t cell) const;      ///< `fixed`, then those of its points
};

/// The plan as JSON. Equal plans have equal texts.
std::string json_of(const SweepPlan& plan);

/// Reads what json_of wrote. @param place  for messages
/// @throws UsageError  it is no plan, or one of a newer version
SweepPlan sweep_plan_in(const std::string& json, const std::string& place);

std::string sha256_of(const SweepPlan& plan);  ///< of its JSON

}  // namespace steplapse
