#include <cmath>

#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

constexpr double kRestartTo = 0.1, kRestartFrom = 2;  // sigma / alpha

struct Leg {
  NoiseLevel from, to;
};

/// n steps' levels between two: even in k^(1/7), eq. 5 of Karras et al. 2022 with rho 7.
std::vector<NoiseLevel> karras(const Schedule& schedule, const NoiseLevel& from, const NoiseLevel& to, int64_t steps) {
  const double first = std::pow(noise_ratio(from), 1.0 / 7), last = std::pow(noise_ratio(to), 1.0 / 7);
  std::vector<NoiseLevel> levels{from};
  for (int64_t i = 1; i < steps; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(steps);
    levels.push_back(schedule.at(std::pow(first + share * (last - first), 7)));
  }
  levels.push_back(to);
  return levels;
}

size_t nearest(const std::vector<NoiseLevel>& levels, double k) {
  const auto found = std::min_element(levels.begin(), levels.end(), [k](const NoiseLevel& a, const NoiseLevel& b) {
    return std::abs(noise_ratio(a) - k) < std::abs(noise_ratio(b) - k);
  });
  return static_cast<size_t>(found - levels.begin());
}

void add_legs(std::vector<Leg>& legs, const std::vector<NoiseLevel>& levels, size_t first, size_t last) {
  for (size_t i = first; i < last; ++i) legs.push_back({levels[i], levels[i + 1]});
}

/// As many steps as the schedule has; a step that does not begin where the one before ended is a restart.
std::vector<Leg> make_legs(const Schedule& schedule) {
  std::vector<NoiseLevel> levels = schedule.levels;
  std::vector<Leg> legs;
  if (levels.front().alpha == 0) {  // nothing can be placed between it and the next
    add_legs(legs, levels, 0, 1);
    levels.erase(levels.begin());
  }

  const int64_t steps = static_cast<int64_t>(levels.size()) - 1;
  if (steps >= 20) {
    const int64_t restarts = steps >= 36 ? 2 : 1, length = steps >= 36 ? steps / 4 : 9;
    const bool to_zero = levels.back().sigma == 0;
    std::vector<NoiseLevel> own = karras(schedule, levels.front(), levels[levels.size() - (to_zero ? 2 : 1)],
                                         steps - restarts * length - (to_zero ? 1 : 0));
    if (to_zero) own.push_back(levels.back());

    const size_t low = nearest(own, kRestartTo), high = nearest(own, kRestartFrom);
    if (high < low) {
      add_legs(legs, own, 0, low);
      const std::vector<NoiseLevel> again = karras(schedule, own[high], own[low], length);
      for (int64_t i = 0; i < restarts; ++i) add_legs(legs, again, 0, again.size() - 1);
      add_legs(legs, own, low, own.size() - 1);
      return legs;
    }
  }
  add_legs(legs, levels, 0, levels.size() - 1);
  return legs;
}

/// Heun, which goes back up and down again through the middle levels. From 20 steps on it chooses its levels itself: rho 7 of
/// Karras et al. 2022 down the schedule's range, and from sigma / alpha nearest 0.1 again from 2: once in 9 steps, or
/// twice in n / 4 from 36 steps on. n steps are n in all, as many as asked. Below 20 steps, and where the range
/// leaves no room, it is Heun on the listed levels. One draw a restart. Source: Xu et al. 2023 (arXiv:2306.14878), algorithm 1,
/// with the choices of A1111's sampler "Restart".
Trajectory sample(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  const Path path(schedule);
  const std::vector<Leg> legs = make_legs(schedule);
  for (size_t i = 0; i < legs.size(); ++i) {
    const NoiseLevel from = legs[i].from, to = legs[i].to;
    if (i > 0 && noise_ratio(from) > noise_ratio(legs[i - 1].to)) {
      const NoiseLevel low = legs[i - 1].to;
      const double k = noise_ratio(from), k_low = noise_ratio(low);
      const double fresh = options.s_noise * std::sqrt(k * k - k_low * k_low);
      x = from.alpha * (x / low.alpha);
      if (fresh > 0) x = x + from.alpha * fresh * noise.like(x);
    }
    const Prediction p = co_await predict(x, from);
    Tensor next = straight_to(to, p);
    if (!is_first_order(from, to)) {
      const Prediction ahead = co_await predict(next, to);
      next = path.follow(x, from, to, (path.slope(p) + path.slope(ahead)) / 2);
    }
    x = co_await step_done(static_cast<int64_t>(i) + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::restart() {
  return {.name = "restart",
          .label = "Restart",
          .start = sample,
          .order = 2,
          .calls_a_step = 2,
          .fresh_noise = true,
          .picks_levels = true,
          .picks_levels_from = 20,
          .usual_schedule = "karras",
          .aliases = {"a1111:Restart", "a1111:restart"}};
}

}  // namespace steplapse
