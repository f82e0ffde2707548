#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "steplapse/noise_level.h"
#include "steplapse/tensor.h"

namespace steplapse {

/// What is compared at the same point of two runs.
enum class Alignment {
  sigma,  ///< x0 where sigma / alpha is the same
  step,   ///< x0 at the step of the same number
};

/// A run's x0 at a step, and the level that it was asked at.
struct Estimate {
  int64_t step;
  NoiseLevel level;
  Tensor x0;
};

/// A run as it is compared.
struct ComparedRun {
  std::vector<Estimate> estimates;  ///< of its steps, in their order
  Tensor end;                       ///< what it ended with, or its last x0
};

/// A run's x0 at a sigma / alpha.
struct EstimateAt {
  Tensor x0;
  double step;  ///< its own; between two steps where it is interpolated
  bool is_interpolated = false;
};

/// x0 where sigma / alpha is `ratio`: a step's own, or linear in log(sigma / alpha) between the two steps around it. Of a
/// run that passes there several times (as restart does) the last time counts. None outside the run's levels.
std::optional<EstimateAt> estimate_at(const std::vector<Estimate>& estimates, double ratio);

/// How far runs are from the first of them. Distances are rms of latents.
struct Comparison {
  struct Other {
    std::optional<EstimateAt> at;  ///< none: the run has no x0 there
    double distance = 0;           ///< of its x0 to the first run's, where it has one
  };
  /// A step of the first run.
  struct Point {
    Estimate first;
    std::vector<Other> others;  ///< of each other run
  };
  std::vector<Point> points;
  std::vector<double> ends;                  ///< distance of each other run's end to the first's
  double parts_above = 0;                    ///< a share of the rms of the first run's end
  std::vector<std::optional<size_t>> parts;  ///< the first point where each other run is further away than that
  /// Of each run, the first also: the first step from which on its x0 stays within the same share of the rms of its own
  /// end. None: not before the end.
  std::vector<std::optional<int64_t>> settles;
};

/// @param runs   two or more, of latents of equal shape
/// @param share  0 to 1: of what counts as another place
Comparison compare_runs(const std::vector<ComparedRun>& runs, Alignment alignment, double share);

double rms(const Tensor& x);

}  // namespace steplapse
