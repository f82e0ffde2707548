#include "views/pace.h"

#include <algorithm>
#include <cmath>

#include "base/names.h"

namespace steplapse {
namespace {

constexpr ValueNames<Pace, 3> kNames{{{"step", Pace::step}, {"sigma", Pace::sigma}, {"change", Pace::change}}};

constexpr double kLeastNoiseRatio = 1e-4;  // stands for 0, whose logarithm is infinite

double log_ratio(const NoiseLevel& level) {
  return std::log(std::clamp(noise_ratio(level), kLeastNoiseRatio, kLargestNoiseRatio));
}

}  // namespace

Pace pace_named(std::string_view name) { return value_named(kNames, name, "pace"); }

std::vector<double> places_of(const std::vector<StepRow>& rows, Pace pace) {
  std::vector<double> places;
  for (const StepRow& row : rows) {
    const double before = places.empty() ? -INFINITY : places.back();
    if (pace == Pace::step) places.push_back(static_cast<double>(row.step));
    if (pace == Pace::sigma) places.push_back(std::max(before, -log_ratio(row.level)));  // some samplers go back up
    if (pace == Pace::change) places.push_back(places.empty() ? 0 : before + row.x0_rms_change.value_or(0));
  }
  return places;
}

std::vector<size_t> spread_evenly(const std::vector<double>& places, size_t count) {
  count = std::min(count, places.size());
  if (count == 1) return {places.size() - 1};
  std::vector<size_t> chosen{0};
  for (size_t i = 1; i < count; ++i) {
    const double wanted =
        places.front() + (places.back() - places.front()) * static_cast<double>(i) / static_cast<double>(count - 1);
    // Each column has a step of its own, and as many are left as there are columns to come.
    size_t best = chosen.back() + 1;
    for (size_t each = best; each <= places.size() - (count - i); ++each) {
      if (std::abs(places[each] - wanted) < std::abs(places[best] - wanted)) best = each;
    }
    chosen.push_back(i + 1 == count ? places.size() - 1 : best);
  }
  return chosen;
}

size_t nearest_level(const std::vector<NoiseLevel>& levels, const NoiseLevel& level) {
  const auto away = [&](size_t i) { return std::abs(log_ratio(levels[i]) - log_ratio(level)); };
  size_t best = 0;
  for (size_t i = 1; i < levels.size(); ++i) {
    if (away(i) <= away(best)) best = i;
  }
  return best;
}

}  // namespace steplapse
