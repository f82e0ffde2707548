#include "steplapse/noise_level.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace steplapse {
namespace {

constexpr std::array<std::pair<std::string_view, PredictionType>, 4> kPredictionTypes{{
    {"epsilon", PredictionType::epsilon},
    {"v_prediction", PredictionType::v_prediction},
    {"sample", PredictionType::sample},
    {"flow", PredictionType::flow},
}};

constexpr std::array<std::pair<std::string_view, Spacing>, 3> kSpacings{{
    {"leading", Spacing::leading},
    {"linspace", Spacing::linspace},
    {"trailing", Spacing::trailing},
}};

template <typename Table>
auto value_named(const Table& table, std::string_view what, std::string_view name) {
  std::string choices;
  for (const auto& [known, value] : table) {
    if (known == name) return value;
    choices += (choices.empty() ? "" : ", ") + std::string(known);
  }
  throw std::invalid_argument("unknown " + std::string(what) + " '" + std::string(name) + "', there are: " + choices);
}

template <typename Table, typename Value>
std::string_view name_in(const Table& table, Value value) {
  for (const auto& [name, known] : table) {
    if (known == value) return name;
  }
  throw std::logic_error("a value without a name");
}

void refuse_leading_that_starts_late(const TrainingNoise& noise, int64_t steps) {
  const auto training_steps = static_cast<int64_t>(noise.alphas_cumprod.size());
  const int64_t first = (training_steps / steps) * (steps - 1) + noise.steps_offset;
  if (first >= training_steps) {
    throw std::invalid_argument("leading with offset " + std::to_string(noise.steps_offset) + " and " +
                                std::to_string(steps) + " steps would start at timestep " + std::to_string(first) +
                                ", outside the model's 0 to " + std::to_string(training_steps - 1) +
                                "; use trailing or linspace");
  }
  if (2 * steps > training_steps && first < training_steps - 1) {
    throw std::invalid_argument("leading with " + std::to_string(steps) + " steps would start at timestep " +
                                std::to_string(first) + ", not at the noisiest, " +
                                std::to_string(training_steps - 1) + "; use at most " +
                                std::to_string(training_steps / 2) + " steps, or trailing or linspace");
  }
}

int64_t timestep_at(const TrainingNoise& noise, Spacing spacing, int64_t steps, int64_t index) {
  const auto training_steps = static_cast<int64_t>(noise.alphas_cumprod.size());
  // nearbyint rounds halves to even, as numpy's round does.
  switch (spacing) {
    case Spacing::leading:
      return (training_steps / steps) * (steps - 1 - index) + noise.steps_offset;
    case Spacing::trailing: {
      // In the order of numpy.arange's own arithmetic, so that halves round as they do there.
      const auto all = static_cast<double>(training_steps);
      const double down = (all - all / static_cast<double>(steps)) - all;
      return std::llrint(std::nearbyint(all + static_cast<double>(index) * down)) - 1;
    }
    case Spacing::linspace: {
      if (steps == 1) return 0;
      const double ratio = static_cast<double>(training_steps - 1) / static_cast<double>(steps - 1);
      return std::llrint(std::nearbyint(static_cast<double>(steps - 1 - index) * ratio));
    }
  }
  throw std::logic_error("a spacing without a rule");
}

/// Where log(k) lies between the training timesteps, by linear interpolation.
double timestep_of(const std::vector<double>& alphas_cumprod, double k) {
  // k² = (1 - a) / a falls where a rises, so the search is for a = 1 / (1 + k²) in a falling list.
  const double wanted = 1 / (1 + k * k);
  const auto above = std::lower_bound(alphas_cumprod.begin(), alphas_cumprod.end(), wanted, std::greater<>());
  if (above == alphas_cumprod.begin()) return 0;
  if (above == alphas_cumprod.end()) return static_cast<double>(alphas_cumprod.size() - 1);
  const auto log_ratio = [](double a) { return 0.5 * std::log((1 - a) / a); };
  const double low = log_ratio(*(above - 1)), high = log_ratio(*above);
  const auto t = static_cast<double>(above - alphas_cumprod.begin());
  return std::isinf(high) ? t - 1 : t - 1 + (std::log(k) - low) / (high - low);
}

}  // namespace

PredictionType prediction_type_named(std::string_view name) {
  return value_named(kPredictionTypes, "prediction type", name);
}
std::string_view name_of(PredictionType type) { return name_in(kPredictionTypes, type); }
Spacing spacing_named(std::string_view name) { return value_named(kSpacings, "schedule", name); }
std::string_view name_of(Spacing spacing) { return name_in(kSpacings, spacing); }

NoiseLevel TrainingNoise::level(int64_t t) const {
  const double alpha_squared = alphas_cumprod.at(static_cast<size_t>(t));
  return {static_cast<double>(t), std::sqrt(alpha_squared), std::sqrt(1 - alpha_squared)};
}

Schedule make_schedule(const TrainingNoise& noise, Spacing spacing, int64_t steps) {
  const auto training_steps = static_cast<int64_t>(noise.alphas_cumprod.size());
  if (steps < 1 || steps > training_steps) {
    throw std::invalid_argument(std::to_string(steps) + " steps asked, the model was trained on timesteps 0 to " +
                                std::to_string(training_steps - 1) + ": use 1 to " + std::to_string(training_steps));
  }
  if (spacing == Spacing::leading) refuse_leading_that_starts_late(noise, steps);

  Schedule schedule;
  for (int64_t i = 0; i < steps; ++i) schedule.levels.push_back(noise.level(timestep_at(noise, spacing, steps, i)));
  NoiseLevel last{std::nullopt, std::sqrt(noise.final_alpha_cumprod), std::sqrt(1 - noise.final_alpha_cumprod)};
  if (last.sigma > 0) last.timestep = 0;
  schedule.levels.push_back(last);
  schedule.alphas_cumprod = noise.alphas_cumprod;
  return schedule;
}

NoiseLevel Schedule::at(double k) const {
  if (!(k > 0)) return {std::nullopt, 1, 0};
  if (alphas_cumprod.empty()) return {1000 * k / (1 + k), 1 / (1 + k), k / (1 + k)};
  const double alpha = std::isinf(k) ? 0 : 1 / std::sqrt(1 + k * k);
  return {timestep_of(alphas_cumprod, k), alpha, std::isinf(k) ? 1 : k * alpha};
}

void check_levels(const Schedule& schedule) {
  const auto& levels = schedule.levels;
  if (levels.size() < 2) {
    throw std::invalid_argument("a schedule of " + std::to_string(levels.size()) + " noise levels, at least 2 wanted");
  }
  for (size_t i = 0; i < levels.size(); ++i) {
    const auto& [timestep, alpha, sigma] = levels[i];
    if (!std::isfinite(alpha) || !std::isfinite(sigma) || alpha < 0 || sigma < 0 || (alpha == 0 && sigma == 0)) {
      std::ostringstream text;
      text << "noise level " << i << " has alpha " << alpha << " and sigma " << sigma
           << ", wanted finite numbers of 0 or more, not both 0";
      throw std::invalid_argument(text.str());
    }
    // sigma / alpha must not rise; multiplied out, since alpha may be 0 at the first level.
    if (i > 0 && sigma * levels[i - 1].alpha > levels[i - 1].sigma * alpha) {
      std::ostringstream text;
      text << "noise levels do not fall: sigma " << sigma << " at level " << i << ", after " << levels[i - 1].sigma
           << " at level " << i - 1;
      throw std::invalid_argument(text.str());
    }
  }
}

}  // namespace steplapse
