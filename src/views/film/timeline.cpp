#include "views/film/timeline.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr double kLeastShare = 0.1;     // of the mean
constexpr double kLeastTime = 0.02;     // seconds: browsers show a picture that stands for less much longer
constexpr double kRounding = 1 + 1e-6;  // sigmas of schedules that are meant to be equal

double mean_of(const std::vector<double>& numbers) {
  double sum = 0, count = 0;
  for (const double number : numbers) {
    if (!std::isfinite(number)) continue;
    sum += number;
    ++count;
  }
  return count > 0 && sum > 0 ? sum / count : 1;
}

double time_of_pictures(size_t count, const FilmTiming& timing) {
  if (!timing.duration) return static_cast<double>(count) / timing.fps;
  const double time = *timing.duration - timing.hold_first - timing.hold_last;
  if (time > 0) return time;
  throw UsageError("`duration` " + plain(*timing.duration) + ": `hold_first` and `hold_last` take " +
                   plain(timing.hold_first + timing.hold_last) + " s of it; lengthen it, or shorten them");
}

}  // namespace

std::vector<double> shares_by_sigma(const std::vector<double>& ratios) {
  std::vector<double> shares;
  for (size_t i = 0; i + 1 < ratios.size(); ++i) shares.push_back(std::abs(std::log(ratios[i] / ratios[i + 1])));
  shares.push_back(std::numeric_limits<double>::infinity());
  const double mean = mean_of(shares);
  for (double& share : shares) share = std::isfinite(share) ? share : mean;
  return shares;
}

std::vector<double> shares_by_change(const std::vector<double>& changes) {
  std::vector<double> shares{changes.empty() ? 1 : changes.front()};
  shares.insert(shares.end(), changes.begin(), changes.end());
  return shares;
}

std::vector<double> shares_with_between(const std::vector<double>& shares, int64_t between) {
  std::vector<double> all;
  const auto parts = static_cast<double>(between + 1);
  for (size_t i = 0; i + 1 < shares.size(); ++i)
    all.insert(all.end(), static_cast<size_t>(between + 1), shares[i] / parts);
  all.push_back(shares.back() / parts);
  return all;
}

std::vector<double> ends_of(std::vector<double> shares, const FilmTiming& timing) {
  const double time = time_of_pictures(shares.size(), timing), mean_time = time / static_cast<double>(shares.size());
  const double least = mean_of(shares) * std::clamp(kLeastTime / mean_time, kLeastShare, 1.0);
  for (double& share : shares) share = std::max(share, least);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<double> ends;
  double done = 0;
  for (const double share : shares) ends.push_back(timing.hold_first + time * (done += share) / sum);
  ends.back() += timing.hold_last;
  return ends;
}

std::vector<size_t> aligned(const std::vector<double>& leading, const std::vector<double>& other) {
  std::vector<size_t> places(leading.size());
  if (leading == other) {
    std::iota(places.begin(), places.end(), size_t{0});
    return places;
  }
  size_t place = 0;
  for (size_t i = 0; i < leading.size(); ++i) {
    while (place + 1 < other.size() && other[place] > leading[i] * kRounding) ++place;
    places[i] = place;
  }
  places.back() = other.size() - 1;
  return places;
}

}  // namespace steplapse
