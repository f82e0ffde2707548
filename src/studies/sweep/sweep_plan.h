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
/// the prompts once all else is set: `replace`, then `weight`, then `repeat`, each WORD=VALUE; these may stand several times.
using SweepSettings = std::vector<std::pair<std::string, std::string>>;

/// An axis of a sweep: each cell takes one of its points.
struct SweepAxis {
  std::string name;                   ///< `steps`; of joined axes `steps,guidance_scale`
  std::vector<SweepSettings> points;  ///< what each of them sets; at least one
};

/// A sweep: one picture for each choice of a point of every axis. docs/sweeps.md has its file.
struct SweepPlan {
  static constexpr int kVersion = 1;
  static constexpr size_t kMostCells = 10'000'000;
  std::filesystem::path model;          ///< the bundle's folder
  std::string model_sha256;             ///< of its model.json
  SweepSettings fixed = {};             ///< of all cells
  std::vector<SweepAxis> axes;          ///< the last one changes from each cell to the next
  bool skip_invalid = false;            ///< cells that their sampler refuses are left out; else they refuse the sweep
  FrameSelection frames = no_frames();  ///< without kinds: final pictures alone

  static FrameSelection no_frames() {
    FrameSelection frames;
    frames.kinds.clear();
    return frames;
  }
  size_t cells() const;  ///< the product of the axes' numbers of points; kMostCells + 1 where it is beyond that
  std::vector<size_t> points_of(size_t cell) const;  ///< which point of each axis the cell takes, from 0
  SweepSettings settings_of(size_t cell) const;      ///< `fixed`, then those of its points
};

/// The plan as JSON. Equal plans have equal texts.
std::string json_of(const SweepPlan& plan);

/// Reads what json_of wrote, and what people write like it. @param place  for messages
/// @throws UsageError  it is no plan, or one of a newer version, or of more than kMostCells
SweepPlan sweep_plan_in(const std::string& json, const std::string& place);

/// @throws UsageError  no cells, more than kMostCells, or a setting that two axes set, or an axis and `fixed`
void check_axes(const SweepPlan& plan, const std::string& place);

std::string sha256_of(
    const SweepPlan& plan);  ///< of its JSON without the model's path, which may differ between machines

}  // namespace steplapse
