// Samplers against what theory says of them, where the data's distribution and so the exact denoiser are known: half of
// it from N(-0.8, 0.3²), half from N(1.2, 0.3²). In one dimension the probability-flow ODE keeps each x at its quantile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numbers>

#include "sampling/samplers/samplers.h"
#include "steplapse/schedule.h"
#include "support/toy_denoiser.h"
#include "support/training_noise_maker.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::StrEq;
using testing::ThrowsMessage;

// ---- the data ---------------------------------------------------------------------------------------------------------

constexpr double kModes[] = {-0.8, 1.2}, kWidth = 0.3;
constexpr double kMean = 0.2, kVariance = 1 + kWidth * kWidth;

double deviation_at(const NoiseLevel& level) { return std::hypot(level.alpha * kWidth, level.sigma); }

/// E[x0 | x].
Tensor mean_of_data(const Tensor& x, const NoiseLevel& level) {
  const double variance = deviation_at(level) * deviation_at(level);
  const auto log_weight = [&](double mode) { return -(x - level.alpha * mode).square() / (2 * variance); };
  const Tensor second = (log_weight(kModes[1]) - log_weight(kModes[0])).sigmoid();
  const Tensor mode = kModes[0] + (kModes[1] - kModes[0]) * second;
  return (level.alpha * kWidth * kWidth * x + level.sigma * level.sigma * mode) / variance;
}

double share_below(double x, const NoiseLevel& level) {
  double share = 0;
  for (const double mode : kModes) {
    share += 0.25 * std::erfc((level.alpha * mode - x) / (deviation_at(level) * std::numbers::sqrt2));
  }
  return share;
}

/// Where the ODE takes x from one level to another: to the same quantile, found by bisection.
double carried(double x, const NoiseLevel& from, const NoiseLevel& to) {
  const double share = share_below(x, from);
  double low = -100, high = 100;
  while (high - low > 1e-12) {
    const double middle = (low + high) / 2;
    (share_below(middle, to) < share ? low : high) = middle;
  }
  return low;
}

// ---- models of it -----------------------------------------------------------------------------------------------------

/// The level that Schedule::at puts at this timestep.
NoiseLevel level_told(const std::vector<double>& alphas_cumprod, double timestep) {
  if (alphas_cumprod.empty()) return {timestep, 1 - timestep / 1000, timestep / 1000};
  const auto squared_ratio = [&](size_t t) { return (1 - alphas_cumprod[t]) / alphas_cumprod[t]; };
  const auto below = static_cast<size_t>(timestep);
  const double share = timestep - static_cast<double>(below);
  double k = squared_ratio(below);
  if (share > 0) k = std::pow(k, 1 - share) * std::pow(squared_ratio(below + 1), share);
  k = std::sqrt(k);
  if (std::isinf(k)) return {timestep, 0, 1};
  return {timestep, 1 / std::hypot(1, k), k / std::hypot(1, k)};
}

struct Model {
  PredictionType type;
  std::vector<double> alphas_cumprod;

  Denoiser denoiser() const {
    return [*this](const Tensor& rows, const Tensor& timesteps, const std::vector<Tensor>&) {
      const NoiseLevel level = level_told(alphas_cumprod, timesteps[0].item<double>());
      const Tensor x = rows.to(at::kDouble), x0 = mean_of_data(x, level);
      const Tensor eps = (x - level.alpha * x0) / level.sigma;
      switch (type) {
        case PredictionType::epsilon: return eps.to(at::kFloat);
        case PredictionType::v_prediction: return (level.alpha * eps - level.sigma * x0).to(at::kFloat);
        case PredictionType::sample: return x0.to(at::kFloat);
        case PredictionType::flow: return (eps - x0).to(at::kFloat);
      }
      throw std::logic_error("a type without an answer");
    };
  }
};

const Model kEpsilon{PredictionType::epsilon, stable_diffusion().alphas_cumprod};
const Model kZeroTerminal{PredictionType::v_prediction, zero_terminal_snr().alphas_cumprod};
const Model kFlow{PredictionType::flow, {}};

/// n steps evenly spaced in k^(1/7), k = sigma / alpha; `to_zero` makes the last of them go to 0.
Schedule karras(const Model& model, int64_t steps, double from, double to, bool to_zero) {
  Schedule schedule{{}, 1, model.alphas_cumprod};
  const int64_t n = to_zero ? steps - 1 : steps;
  for (int64_t i = 0; i <= n; ++i) {
    const double share = n > 0 ? static_cast<double>(i) / static_cast<double>(n) : 0;
    const double root = std::pow(from, 1.0 / 7) * (1 - share) + std::pow(to, 1.0 / 7) * share;
    schedule.levels.push_back(schedule.at(std::pow(root, 7)));
  }
  if (to_zero) schedule.levels.push_back({std::nullopt, 1, 0});
  return schedule;
}

/// n steps from alpha 0 to sigma 0.
Schedule from_alpha_zero(const Model& model, int64_t steps) {
  if (!model.alphas_cumprod.empty()) {
    return make_schedule(zero_terminal_snr(), schedule_named("trailing"), {.steps = steps});
  }
  Schedule schedule;
  for (int64_t i = 0; i < steps; ++i) {
    const double sigma = 1 - static_cast<double>(i) / static_cast<double>(steps);
    schedule.levels.push_back({1000 * sigma, 1 - sigma, sigma});
  }
  schedule.levels.push_back({std::nullopt, 1, 0});
  return schedule;
}

/// What a run asked and did.
struct Account : Watcher {
  int64_t calls = 0;
  std::vector<int64_t> numbers;
  void answered(const Question&, const Answer&) override { ++calls; }
  Verdict stepped(const Step& step) override {
    numbers.push_back(step.number);
    return {};
  }
};

Tensor end_of(std::string_view sampler, const Model& model, const Schedule& schedule, const Tensor& x,
              const SamplerOptions& options, Noise noise, Account* account = nullptr) {
  const Outcome outcome = run_alone(sampler_named(sampler).start(x, schedule, options, std::move(noise)),
                                    model.denoiser(), account, model.type);
  if (outcome.error) std::rethrow_exception(outcome.error);
  return outcome.latents;
}

const std::vector<std::string_view> kAll{"euler",      "euler_a",   "heun",    "dpm2",     "dpm2_a",      "lms",
                                         "dpmpp_2s_a", "dpmpp_sde", "restart", "dpm_fast", "dpm_adaptive"};

// ---- the ODE ----------------------------------------------------------------------------------------------------------

/// The largest distance from the exact end, n steps down from sigma / alpha `from` to `to`, without fresh noise.
double error_after(std::string_view sampler, const Model& model, int64_t steps, double from = 10, double to = 0.1) {
  const Schedule schedule = karras(model, steps, from, to, false);
  const NoiseLevel first = schedule.levels.front(), last = schedule.levels.back();
  const Tensor x = first.sigma * at::linspace(-2, 2, 9, at::kFloat).view({1, 1, 3, 3});
  const Tensor end = end_of(sampler, model, schedule, x, {}, {});
  double error = 0;
  for (int64_t i = 0; i < 9; ++i) {
    const double wanted = carried(x.view(-1)[i].item<double>(), first, last);
    error = std::max(error, std::abs(end.view(-1)[i].item<double>() - wanted));
  }
  return error;
}

struct Falls {
  std::string_view sampler;
  int64_t steps, more_steps;  // twice as many, as the sampler spaces them
  double least, most;         // the error at the first over that at the second: 2 to the order
  double from = 10, to = 0.1;
};

class Order : public testing::TestWithParam<Falls> {};

TEST_P(Order, IsWhatTheErrorFallsWith) {
  const Falls& falls = GetParam();
  for (const Model& model : {kEpsilon, kFlow}) {
    const double error = error_after(falls.sampler, model, falls.steps, falls.from, falls.to);
    const double less = error_after(falls.sampler, model, falls.more_steps, falls.from, falls.to);
    EXPECT_GT(error / less, falls.least) << name_of(model.type) << ": " << error << " then " << less;
    EXPECT_LT(error / less, falls.most) << name_of(model.type) << ": " << error << " then " << less;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Samplers, Order,
    testing::Values(Falls{"euler", 80, 160, 1.9, 2.1}, Falls{"euler_a", 80, 160, 1.9, 2.1},
                    Falls{"heun", 40, 80, 3.5, 4.6}, Falls{"dpm2", 40, 80, 3.5, 4.6}, Falls{"dpm2_a", 40, 80, 3.5, 4.6},
                    Falls{"dpmpp_2s_a", 40, 80, 3.5, 4.6}, Falls{"dpmpp_sde", 40, 80, 3.5, 4.6},

                    // Of order 2 by its first steps, which are of order 1 and 2; where these are easy,
                    // at much noise, it looks like order 4.
                    Falls{"lms", 20, 40, 3.5, 4.6, 1.5, 0.3}, Falls{"lms", 40, 80, 10, 24},
                    // 6 and 12 solver steps, the last of order 1, then of order 2.
                    Falls{"dpm_fast", 34, 70, 3.5, 6}, Falls{"dpm_fast", 35, 71, 6.5, 10}),
    [](const auto& info) { return std::string(info.param.sampler) + "_" + std::to_string(info.param.steps); });

TEST(Restart, IsHeunBelowTwentySteps) {
  const Tensor x = at::linspace(-9, 9, 4, at::kFloat).view({1, 1, 2, 2});
  for (const bool to_zero : {false, true}) {
    const Schedule schedule = karras(kEpsilon, 19, 10, 0.1, to_zero);
    EXPECT_TRUE(
        at::equal(end_of("restart", kEpsilon, schedule, x, {}, {}), end_of("heun", kEpsilon, schedule, x, {}, {})));
  }
}

TEST(DpmAdaptive, StaysWithinItsTolerance) {
  for (const Model& model : {kEpsilon, kFlow}) EXPECT_LT(error_after("dpm_adaptive", model, 1), 0.05);
}

// A slope that is a cubic polynomial in sigma and nothing else: with four points, its integral is exact.
TEST(Lms, IsExactForACubicOnceItHasFourPoints) {
  const Schedule schedule = karras(kEpsilon, 12, 3, 0.1, false);
  const auto cube = [](const Tensor& x, const Tensor& timesteps, const std::vector<Tensor>&) {
    const double k = noise_ratio(level_told(kEpsilon.alphas_cumprod, timesteps[0].item<double>()));
    return at::full_like(x, k * k * k - 2 * k);
  };
  struct Listener : Watcher {
    std::vector<double> ends;
    Verdict stepped(const Step& step) override {
      ends.push_back(step.x.item<double>() / step.level.alpha);
      return {};
    }
  } listener;
  run_alone(sampler_named("lms").start(at::ones({1, 1, 1, 1}), schedule, {}, {}), cube, &listener);
  const auto integral = [](double k) { return std::pow(k, 4) / 4 - k * k; };
  for (size_t i = 3; i < 12; ++i) {
    const double from = noise_ratio(schedule.levels[i]), to = noise_ratio(schedule.levels[i + 1]);
    EXPECT_NEAR(listener.ends[i] - listener.ends[i - 1], integral(to) - integral(from), 2e-5) << i;
  }
}

// ---- the distribution -------------------------------------------------------------------------------------------------

constexpr int64_t kSide = 128;  // 16,384 trajectories, an element each

/// Four standard errors, and `bias` for the steps' own error.
void expect_data(const Tensor& ends, double bias) {
  ASSERT_TRUE(at::isfinite(ends).all().item<bool>());
  const Tensor x = ends.to(at::kDouble);
  const double root = static_cast<double>(kSide);
  EXPECT_NEAR(x.mean().item<double>(), kMean, 4 * std::sqrt(kVariance) / root + bias);
  // Of (x - mean)² = (±1 + 0.3 z)²: variance 4 * 0.09 + 2 * 0.0081.
  EXPECT_NEAR(x.var().item<double>(), kVariance, 4 * std::sqrt(0.3762) / root + bias);
  EXPECT_NEAR((x > kMean).to(at::kDouble).mean().item<double>(), 0.5, 4 * 0.5 / root + bias);
}

struct Run {
  std::string_view sampler;
  SamplerOptions options;
  int64_t draws_of_20, draws_of_40;  // in as many steps to sigma 0
};

// One a step but the last, two where both halves of a step have theirs, one a restart; none that is not needed. 19 and
// 39 calls above sigma 0 are 7 and 13 steps of DPM-Solver-fast, and 39 is 3 times 13: the last two of 14 are of order 2 and 1.
const std::vector<Run> kStochastic{
    {"euler_a", {.eta = 1}, 19, 39},
    {"euler_a", {.eta = 0.5}, 19, 39},
    {"dpm2_a", {.eta = 1}, 19, 39},
    {"dpmpp_2s_a", {.eta = 1}, 19, 39},
    {"dpmpp_sde", {.eta = 1}, 38, 78},
    {"dpmpp_sde", {.eta = 0.5}, 38, 78},
    {"restart", {}, 1, 2},
    {"dpm_fast", {.eta = 1}, 6, 13},
    {"euler", {.s_churn = 10}, 20, 40},
    {"heun", {.s_churn = 10}, 20, 40},
    {"dpm2", {.s_churn = 10}, 20, 40},
};

class Stochastic : public testing::TestWithParam<Run> {};

TEST_P(Stochastic, EndsInTheDataDistribution) {
  for (const Model& model : {kEpsilon, kFlow}) {
    SCOPED_TRACE(name_of(model.type));
    const Schedule schedule = karras(model, 100, 30, 0.02, true);
    const NoiseLevel first = schedule.levels.front();
    Noise noise(Rng::cpu, 5);
    const double spread = std::hypot(first.alpha * std::sqrt(kVariance), first.sigma);
    const Tensor x = first.alpha * kMean + spread * noise.draw({1, 1, kSide, kSide});
    expect_data(end_of(GetParam().sampler, model, schedule, x, GetParam().options, noise), 0.01);
  }
}

int64_t draws_taken(std::string_view sampler, const Model& model, const Schedule& schedule,
                    const SamplerOptions& options) {
  Noise noise(Rng::cpu, 3);
  end_of(sampler, model, schedule, at::ones({1, 1, 2, 2}), options, noise);
  const Tensor next = noise.draw({1, 1, 2, 2});
  Noise fresh(Rng::cpu, 3);
  int64_t draws = 0;
  while (!at::equal(fresh.draw({1, 1, 2, 2}), next)) ++draws;
  return draws;
}

TEST_P(Stochastic, DrawsWhatItUses) {
  const auto& [sampler, options, of_20, of_40] = GetParam();
  for (const Model& model : {kEpsilon, kFlow}) {
    EXPECT_EQ(draws_taken(sampler, model, karras(model, 20, 10, 0.05, true), options), of_20);
    EXPECT_EQ(draws_taken(sampler, model, karras(model, 40, 10, 0.05, true), options), of_40);
    SamplerOptions silent = options;
    silent.s_noise = 0;
    EXPECT_EQ(draws_taken(sampler, model, karras(model, 20, 10, 0.05, true), silent), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Samplers, Stochastic, testing::ValuesIn(kStochastic), [](const auto& info) {
  return std::string(info.param.sampler) + "_" + std::to_string(info.index);
});

TEST(DpmAdaptive, WithEtaEndsInTheDataDistribution) {
  const Schedule schedule = karras(kEpsilon, 2, 30, 0.02, true);
  Noise noise(Rng::cpu, 5);
  const Tensor x = schedule.levels.front().sigma * noise.draw({1, 1, kSide, kSide});
  expect_data(end_of("dpm_adaptive", kEpsilon, schedule, x, {.eta = 1}, noise), 0.03);
}

TEST(DeterministicSamplers, DrawNothing) {
  for (const std::string_view sampler : kAll) {
    for (const Model& model : {kEpsilon, kFlow}) {
      EXPECT_EQ(draws_taken(sampler, model, karras(model, 19, 10, 0.05, true), {}), 0) << sampler;
    }
  }
}

TEST(Churn, StaysInItsWindow) {
  const Schedule schedule = karras(kEpsilon, 20, 10, 0.05, true);
  int64_t within = 0;
  for (const NoiseLevel& level : schedule.levels) within += noise_ratio(level) >= 0.5 && noise_ratio(level) <= 5;
  for (const std::string_view sampler : {"euler", "heun", "dpm2"}) {
    EXPECT_TRUE(sampler_named(sampler).churns);
    EXPECT_EQ(draws_taken(sampler, kEpsilon, schedule, {.s_churn = 5, .s_tmin = 0.5, .s_tmax = 5}), within) << sampler;
  }
}

// ---- first levels with nothing but noise, and levels that stay ----------------------------------------------------------

TEST(SingleStepSamplers, StartAtAlphaZeroAndEndInTheDataDistribution) {
  for (const std::string_view sampler : kAll) {
    for (const Model& model : {kZeroTerminal, kFlow}) {
      SCOPED_TRACE(std::string(sampler) + ", " + std::string(name_of(model.type)));
      const Sampler& entry = sampler_named(sampler);
      Noise noise(Rng::cpu, 11);
      const Tensor x = noise.draw({1, 1, kSide, kSide});
      const Tensor ends = end_of(sampler, model, from_alpha_zero(model, 100), x, {.eta = entry.eta.value_or(0)}, noise);
      expect_data(ends, 0.03);
    }
  }
}

TEST(SingleStepSamplers, MakeTheirShortestRuns) {
  for (const std::string_view sampler : kAll) {
    for (const Model& model : {kZeroTerminal, kFlow}) {
      SCOPED_TRACE(std::string(sampler) + ", " + std::string(name_of(model.type)));
      for (const int64_t steps : {1, 2, 3}) {
        for (const double eta : {0.0, 1.0}) {
          Account account;
          const Tensor x = at::ones({1, 1, 2, 2});
          const Tensor end =
              end_of(sampler, model, from_alpha_zero(model, steps), x, {.eta = eta}, Noise(Rng::cpu, 1), &account);
          EXPECT_TRUE(at::isfinite(end).all().item<bool>());
          if (steps == 1) {
            EXPECT_THAT(account.numbers, ElementsAre(1));
            EXPECT_NEAR(end.max().item<double>(), kMean, 1e-5);  // x0 of nothing but noise
          }
        }
      }
    }
  }
}

TEST(SingleStepSamplers, TakeLevelsThatStayWhereTheyAre) {
  for (const std::string_view sampler : kAll) {
    for (const Model& model : {kEpsilon, kFlow}) {
      SCOPED_TRACE(std::string(sampler) + ", " + std::string(name_of(model.type)));
      const Schedule schedule = karras(model, 4, 5, 0.5, true);
      const auto& levels = schedule.levels;
      Schedule longer = schedule;
      for (const size_t i : {3, 0}) longer.levels.insert(longer.levels.begin() + static_cast<int64_t>(i), levels[i]);
      const Tensor x = at::linspace(-2, 2, 4, at::kFloat).view({1, 1, 2, 2});
      const SamplerOptions options{.eta = 1};
      const Tensor end = end_of(sampler, model, longer, x, options, Noise(Rng::cpu, 1));
      EXPECT_TRUE(at::isfinite(end).all().item<bool>());
      if (!sampler_named(sampler).picks_levels) {
        const Tensor wanted = end_of(sampler, model, schedule, x, options, Noise(Rng::cpu, 1));
        EXPECT_TRUE(at::allclose(end, wanted, 1e-4, 1e-5)) << end << wanted;
      }
    }
  }
}

TEST(SingleStepSamplers, NumberTheirStepsAndTellTheFirstEstimate) {
  for (const std::string_view sampler : kAll) {
    Trajectory trajectory = sampler_named(sampler).start(at::ones({1, 1, 1, 1}), karras(kEpsilon, 20, 10, 0.05, true),
                                                         {.eta = 1}, Noise(Rng::cpu, 1));
    double answer = 0, first = 0;
    int64_t steps = 0;
    for (trajectory.resume(); !trajectory.finished(); trajectory.resume()) {
      if (trajectory.question()) {
        answer += 1e-3;  // little, so that an adaptive step may be long
        if (first == 0) first = answer;
        trajectory.answer({at::full({1, 1, 1, 1}, answer), at::full({1, 1, 1, 1}, answer)});
      } else {
        EXPECT_EQ(trajectory.step()->number, ++steps) << sampler;
        EXPECT_FLOAT_EQ(trajectory.step()->x0.item<float>(), static_cast<float>(first)) << sampler;
        first = 0;
      }
    }
    const bool as_many_as_listed = sampler != "dpm_fast" && sampler != "dpm_adaptive";
    EXPECT_EQ(steps, as_many_as_listed ? 20 : steps) << sampler;
  }
}

TEST(SingleStepSamplers, RefuseEtaOutsideItsRange) {
  for (const std::string_view sampler : {"euler_a", "dpm2_a", "dpmpp_2s_a", "dpmpp_sde", "dpm_fast", "dpm_adaptive"}) {
    for (const double eta : {-0.1, 1.1, std::nan("")}) {
      const auto sample = [&] {
        end_of(sampler, kEpsilon, karras(kEpsilon, 2, 5, 0.5, true), at::ones({1, 1, 1, 1}), {.eta = eta}, {});
      };
      EXPECT_THAT(sample, ThrowsMessage<std::invalid_argument>(StrEq("eta must be from 0 to 1")));
    }
  }
}

}  // namespace
}  // namespace steplapse
