#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "steplapse/noise_level.h"
#include "steplapse/step_row.h"

namespace steplapse {

/// What steps that are shown lie evenly in.
enum class Pace {
  step,    ///< their number
  sigma,   ///< log(sigma / alpha)
  change,  ///< the change of x0 so far, as the sum of its rms changes
};

/// @throws std::invalid_argument  no pace has this name
Pace pace_named(std::string_view name);

/// How far on each step is; it never falls. @param rows  of the run's steps, in their order
std::vector<double> places_of(const std::vector<StepRow>& rows, Pace pace);

/// Which steps to show: `count` of them, or all where there are fewer, spread as evenly over their places as can be. The
/// first and the last are among them, the last alone where `count` is 1.
/// @param places  of the steps, rising; one or more
/// @return their indices, rising
std::vector<size_t> spread_evenly(const std::vector<double>& places, size_t count);

/// The index of the level that comes nearest to another in log(sigma / alpha). Of equal ones the last.
/// @param levels  one or more
size_t nearest_level(const std::vector<NoiseLevel>& levels, const NoiseLevel& level);

}  // namespace steplapse
