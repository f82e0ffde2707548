#include <cmath>

#include "sampling/samplers/path.h"
#include "sampling/samplers/samplers.h"

namespace steplapse {
namespace {

constexpr double kRestartTo = 0.1, kRestartFrom = 2;  // sigma / alpha

struct LevelStep {
  NoiseLevel from, to;
};

/// The levels of n steps between two levels: even in k^(1/7), with k = sigma / alpha (Karras et al. 2022,
/// arXiv:2206.00364, eq. 5, with rho 7).
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

/// The index of the level whose sigma / alpha is nearest to k.
size_t nearest_level(const std::vector<NoiseLevel>& levels, double k) {
  const auto found = std::min_element(levels.begin(), levels.end(), [k](const NoiseLevel& a, const NoiseLevel& b) {
    return std::abs(noise_ratio(a) - k) < std::abs(noise_ratio(b) - k);
  });
  return static_cast<size_t>(found - levels.begin());
}

void add_steps(std::vector<LevelStep>& all, const std::vector<NoiseLevel>& levels, size_t first, size_t last) {
  for (size_t i = first; i < last; ++i) all.push_back({levels[i], levels[i + 1]});
}

/// As many steps as the schedule has. A step that does not begin where the one before ended is a restart.
std::vector<LevelStep> restart_steps(const Schedule& schedule) {
  std::vector<NoiseLevel> levels = schedule.levels;
  std::vector<LevelStep> all;
  if (levels.front().alpha == 0) {  // no level can be placed between it and the next
    add_steps(all, levels, 0, 1);
    levels.erase(levels.begin());
  }

  const int64_t steps = static_cast<int64_t>(levels.size()) - 1;
  if (steps >= 20) {
    const int64_t restarts = steps >= 36 ? 2 : 1, length = steps >= 36 ? steps / 4 : 9;
    const bool to_zero = levels.back().sigma == 0;
    std::vector<NoiseLevel> own = karras(schedule, levels.front(), levels[levels.size() - (to_zero ? 2 : 1)],
                                         steps - restarts * length - (to_zero ? 1 : 0));
    if (to_zero) own.push_back(levels.back());

    const size_t low = nearest_level(own, kRestartTo), high = nearest_level(own, kRestartFrom);
    if (high < low) {
      add_steps(all, own, 0, low);
      const std::vector<NoiseLevel> again = karras(schedule, own[high], own[low], length);
      for (int64_t i = 0; i < restarts; ++i) add_steps(all, again, 0, again.size() - 1);
      add_steps(all, own, low, own.size() - 1);
      return all;
    }
  }
  add_steps(all, levels, 0, levels.size() - 1);
  return all;
}

/// Heun's method with restarts: noise brings x back up, and the sampler goes down through the middle levels again. From
/// 20 steps on it chooses its levels itself: those of rho 7 (Karras et al. 2022) over the schedule's range. At the
/// level nearest to sigma / alpha 0.1 it restarts from the level nearest to 2: once with 9 steps, or twice with n / 4
/// steps from 36 steps on. All steps together are the n of the schedule. Below 20 steps, and where the range has no
/// such levels, it is `heun` on the schedule's levels. Draws once per restart. Source: Xu et al. 2023
/// (arXiv:2306.14878), algorithm 1, with the choices of A1111's sampler "Restart".
Trajectory sample_restart(Tensor x, Schedule schedule, SamplerOptions options, Noise noise) {
  check_levels(schedule);
  const Path path(schedule);
  const std::vector<LevelStep> steps = restart_steps(schedule);
  for (size_t i = 0; i < steps.size(); ++i) {
    const NoiseLevel from = steps[i].from, to = steps[i].to;
    if (i > 0 && noise_ratio(from) > noise_ratio(steps[i - 1].to)) {
      const NoiseLevel low = steps[i - 1].to;
      const double k = noise_ratio(from), k_low = noise_ratio(low);
      const double k_up = options.s_noise * std::sqrt(k * k - k_low * k_low);
      x = from.alpha * (x / low.alpha);
      if (k_up > 0) x = x + from.alpha * k_up * noise.like(x);
    }
    const Prediction p = co_await predict(x, from);
    Tensor next = straight_to(to, p);
    if (!is_first_order(from, to)) {
      const Prediction ahead = co_await predict(next, to);
      next = path.follow(x, from, to, (path.slope(p) + path.slope(ahead)) / 2);
    }
    x = co_await step_done(i + 1, to, next, p.x0);
  }
  co_return x;
}

}  // namespace

Sampler sampler_rows::restart() {
  return {.name = "restart",
          .label = "Restart",
          .start = sample_restart,
          .order = 2,
          .calls_per_step = 2,
          .fresh_noise = true,
          .picks_levels = true,
          .picks_levels_from = 20,
          .usual_schedule = "karras",
          .aliases = {"a1111:Restart", "a1111:restart"}};
}

}  // namespace steplapse
