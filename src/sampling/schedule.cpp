#include "steplapse/schedule.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>

#include "base/text.h"

namespace steplapse {
namespace {

/// How far outside the model's range a sigma may lie, since lists are published in three or four digits.
constexpr double kRounding = 0.01;

void add_end(std::vector<NoiseLevel>& levels, const TrainingNoise& noise, RunEnd end) {
  const bool at_final_alpha = end == RunEnd::final_alpha && noise.final_alpha_cumprod < 1;
  if (end == RunEnd::last_listed) {
    if (levels.size() < 2) throw std::invalid_argument("the run would end at its only level; use at least 2 steps");
    return;
  }
  if (end == RunEnd::last_asked) {
    levels.push_back(levels.back());
  } else if (end == RunEnd::timestep_0 && !noise.is_flow()) {
    levels.push_back(noise.level(0));
  } else if (at_final_alpha) {
    levels.push_back({0.0, std::sqrt(noise.final_alpha_cumprod), std::sqrt(1 - noise.final_alpha_cumprod)});
  } else {
    levels.push_back({std::nullopt, 1, 0});
  }
}

/// @param allowed_steps  the numbers of steps to name in the error; "": 1 to the number of timesteps
void check_steps(
    const TrainingNoise& noise, int64_t steps, const std::function<std::string()>& allowed_steps = [] { return ""; }) {
  if (steps >= 1 && steps <= noise.timesteps()) return;
  const std::string allowed = allowed_steps();
  throw std::invalid_argument("the model has " + std::to_string(noise.timesteps()) + " timesteps; expected " +
                              (allowed.empty() ? "1 to " + std::to_string(noise.timesteps()) : allowed));
}

void check_range(const NoiseScale& scale, const ScheduleRequest& request) {
  if (request.sigma_min) check_sigma(scale, *request.sigma_min);
  if (request.sigma_max) check_sigma(scale, *request.sigma_max);
  const double least = request.sigma_min.value_or(scale.sigma_min()),
               most = request.sigma_max.value_or(scale.sigma_max());
  if (least >= most && (request.sigma_min || request.sigma_max)) {
    throw std::invalid_argument("sigma_min " + plain(least) + " is not below sigma_max " + plain(most));
  }
  if (request.rho && !(*request.rho > 0 && std::isfinite(*request.rho))) {
    throw std::invalid_argument("rho " + plain(*request.rho) + ": expected a number above 0");
  }
}

/// Checks that the user's numbers fall.
void check_falls(const std::vector<double>& numbers) {
  for (size_t i = 1; i < numbers.size(); ++i) {
    if (numbers[i] < numbers[i - 1]) continue;
    throw std::invalid_argument(plain(numbers[i]) + " after " + plain(numbers[i - 1]) + ": expected numbers that fall");
  }
}

std::string level_name(size_t index) { return "level " + std::to_string(index); }

}  // namespace

void check_sigma(const NoiseScale& scale, double sigma) {
  if (sigma >= scale.sigma_min() * (1 - kRounding) && sigma <= scale.sigma_max() * (1 + kRounding)) return;
  throw std::invalid_argument(plain(sigma) + ": the model was trained at sigmas from " + plain(scale.sigma_min()) +
                              " to " + plain(scale.sigma_max()));
}

double init_scale(StartScale start, const NoiseScale& scale, const std::vector<NoiseLevel>& levels) {
  const NoiseLevel& first = levels.front();
  const double sigma = scale.is_flow() ? first.sigma : std::min(noise_ratio(first), kLargestNoiseRatio);
  const bool at_max = sigma > scale.sigma_max() * (1 - 1e-5);
  return start == StartScale::unit || (start == StartScale::unit_at_max && at_max) ? 1 : first.sigma;
}

namespace {

Schedule made(const TrainingNoise& noise, const NoiseScale& scale, const ScheduleRule& rule,
              const ScheduleRequest& request) {
  // The level that the run ends at is not among the rule's, so the last of these is the last but one.
  ScheduleRequest of_rule = request;
  if (request.drops_penultimate) ++of_rule.steps;
  Schedule schedule{rule.levels(scale, of_rule), 1, noise.alphas_cumprod};
  if (request.drops_penultimate) schedule.levels.pop_back();
  StartScale start = request.start.value_or(rule.start);
  if (start == StartScale::sigma_but_leading) start = rule.unit_start_in_euler ? StartScale::unit : StartScale::sigma;
  schedule.init_scale = init_scale(start, scale, schedule.levels);
  add_end(schedule.levels, noise,
          request.end == RunEnd::final_alpha && !rule.ends_at_final_alpha ? RunEnd::zero : request.end);
  return schedule;
}

/// "1 to 500 or 1000": the numbers of steps for which the rule has levels.
std::string allowed_steps(const TrainingNoise& noise, const NoiseScale& scale, const ScheduleRule& rule,
                          ScheduleRequest request) {
  const auto works = [&](int64_t steps) {
    request.steps = steps;
    try {
      made(noise, scale, rule, request);
      return true;
    } catch (const std::invalid_argument&) {
      return false;
    }
  };
  std::vector<std::string> ranges;
  for (int64_t first = 1; first <= noise.timesteps(); ++first) {
    if (!works(first)) continue;
    int64_t last = first;
    while (last < noise.timesteps() && works(last + 1)) ++last;
    ranges.push_back(std::to_string(first) + (last > first ? " to " + std::to_string(last) : ""));
    first = last;
  }
  return joined(ranges, " or ");
}

}  // namespace

Schedule make_schedule(const TrainingNoise& noise, const ScheduleRule& rule, const ScheduleRequest& request) {
  const NoiseScale scale(noise);
  check_steps(noise, request.steps, [&] { return allowed_steps(noise, scale, rule, request); });
  check_range(scale, request);
  return made(noise, scale, rule, request);
}

Schedule schedule_of_timesteps(const TrainingNoise& noise, const std::vector<double>& timesteps, RunEnd end) {
  check_steps(noise, static_cast<int64_t>(timesteps.size()));
  const NoiseScale scale(noise);
  // The timestep of a flow model is 1000 times sigma, and the model is never asked at sigma 0.
  const double least = scale.is_flow() ? 1000 * scale.sigma_min() * (1 - kRounding) : 0;
  const auto most = static_cast<double>(scale.is_flow() ? scale.timesteps() : scale.timesteps() - 1);
  Schedule schedule{{}, 1, noise.alphas_cumprod};
  for (const double timestep : timesteps) {
    if (!(timestep >= least && timestep <= most)) {
      throw std::invalid_argument(plain(timestep) + ": the model was trained on timesteps " + plain(least) + " to " +
                                  plain(most));
    }
    schedule.levels.push_back(scale.is_flow() ? scale.at_sigma(timestep / 1000) : scale.at_timestep(timestep));
  }
  check_falls(timesteps);
  add_end(schedule.levels, noise, end);
  return schedule;
}

Schedule schedule_of_sigmas(const TrainingNoise& noise, const std::vector<double>& sigmas) {
  if (sigmas.size() < 2) throw std::invalid_argument("expected at least 2 numbers, the last 0");
  check_steps(noise, static_cast<int64_t>(sigmas.size()) - 1);
  const NoiseScale scale(noise);
  Schedule schedule{{}, 1, noise.alphas_cumprod};
  check_falls(sigmas);
  if (sigmas.back() != 0) {
    throw std::invalid_argument("ends at " + plain(sigmas.back()) +
                                ", which would leave noise in the picture; expected 0 at the end");
  }
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    check_sigma(scale, sigmas[i]);
    schedule.levels.push_back(scale.at_sigma(sigmas[i]));
  }
  schedule.init_scale = init_scale(StartScale::sigma, scale, schedule.levels);
  schedule.levels.push_back({std::nullopt, 1, 0});
  return schedule;
}

Schedule schedule_of_levels(const TrainingNoise& noise, Schedule schedule) {
  check_levels(schedule);
  check_steps(noise, schedule.steps());
  if (!(std::isfinite(schedule.init_scale) && schedule.init_scale > 0)) {
    throw std::invalid_argument("init_scale is " + plain(schedule.init_scale) + ", expected a number above 0");
  }
  const bool flow = noise.is_flow();
  const auto most = static_cast<double>(flow ? noise.timesteps() : noise.timesteps() - 1);
  for (size_t i = 0; i < schedule.levels.size(); ++i) {
    const auto& [timestep, alpha, sigma] = schedule.levels[i];
    const bool asked = i + 1 < schedule.levels.size();
    if (asked && !timestep)
      throw std::invalid_argument(level_name(i) + " has no timestep, but the network is asked there");
    if (asked && sigma == 0) throw std::invalid_argument(level_name(i) + " has sigma 0, which only the last may have");
    if (timestep && !(*timestep >= 0 && *timestep <= most)) {
      throw std::invalid_argument(level_name(i) + " has timestep " + plain(*timestep) +
                                  ": the model was trained on timesteps 0 to " + plain(most));
    }
    const double sum = flow ? alpha + sigma : alpha * alpha + sigma * sigma;
    if (std::abs(sum - 1) > 1e-3) {
      throw std::invalid_argument(level_name(i) + " has alpha " + plain(alpha) + " and sigma " + plain(sigma) +
                                  (flow ? ", whose sum should be 1" : ", the sum of whose squares should be 1"));
    }
  }
  schedule.alphas_cumprod = noise.alphas_cumprod;
  return schedule;
}

}  // namespace steplapse
