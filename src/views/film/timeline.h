#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace steplapse {

/// How fast a film goes.
struct FilmTiming {
  double fps = 10;                      ///< pictures a second on average, without the holds
  std::optional<double> duration = {};  ///< of the whole film in seconds, in place of fps
  double hold_first = 0;                ///< how many seconds longer the first and the last picture stand
  double hold_last = 1;
};

/// Shares of a film's time by how far the noise falls to the next picture, in log(sigma / alpha). A picture gets the mean
/// share where that is not finite, as at the last. @param ratios  sigma / alpha of each picture
std::vector<double> shares_by_sigma(const std::vector<double>& ratios);

/// Shares by how much changes with each picture. @param changes  of each but the first, which gets the second's
std::vector<double> shares_by_change(const std::vector<double>& changes);

/// Shares of the same pictures where `between` more stand between each and the next one.
std::vector<double> shares_with_between(const std::vector<double>& shares, int64_t between);

/// When each picture ends, in seconds. None stands much less than a tenth of the mean time, or a fiftieth of a second.
/// @param shares  of each picture, 0 or more
/// @throws UsageError  `duration` leaves no time beside the holds
std::vector<double> ends_of(std::vector<double> shares, const FilmTiming& timing);

/// Which picture of another run stands beside each of the leading run's: its first at or past the same noise, or its last
/// where it never comes so far; at the end all show their last. Runs of equal levels go in step.
/// @param leading,other  sigma / alpha of their pictures, in their order; at least one each
std::vector<size_t> aligned(const std::vector<double>& leading, const std::vector<double>& other);

}  // namespace steplapse
