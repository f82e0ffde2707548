#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sampling/samplers/samplers.h"
#include "support/toy_denoiser.h"

namespace steplapse {
namespace {

using testing::StrEq;
using testing::ThrowsMessage;

constexpr double kNoisy = 1.5, kClean = 0.05;  // angles

double deviation(double s, double angle) { return std::hypot(std::cos(angle) * s, std::sin(angle)); }

// For data from N(0, s²) the probability-flow ODE keeps x / deviation(x): the exact end is known.
double error_after(int64_t steps, double s) {
  const Tensor x = at::ones({1, 1, 1, 1});
  const Outcome outcome =
      run_alone(sampler_named("ddim").start(x, circle(steps, kNoisy, kClean), {}, {}), gaussian_denoiser(s));
  return std::abs(outcome.latents.item<double>() - deviation(s, kClean) / deviation(s, kNoisy));
}

TEST(Ddim, ErrorHalvesWhenStepsDouble) {
  EXPECT_NEAR(error_after(40, 0.5) / error_after(80, 0.5), 2.0, 0.1);
  EXPECT_NEAR(error_after(80, 2.0) / error_after(160, 2.0), 2.0, 0.1);
}

TEST(Ddim, FullFreshNoiseEndsInTheDataDistribution) {
  const double s = 0.5;
  Noise noise(Rng::cpu, 7);
  const Tensor x = deviation(s, kNoisy) * noise.draw({1, 1, 128, 128});
  const Outcome outcome =
      run_alone(sampler_named("ddim").start(x, circle(400, kNoisy, kClean), {.eta = 1}, noise), gaussian_denoiser(s));
  const double wanted = deviation(s, kClean);
  EXPECT_NEAR(outcome.latents.mean().item<double>(), 0, 4 * wanted / 128);
  // 16,384 samples: a standard error of 0.6% of the deviation, and some of the steps' own.
  EXPECT_NEAR(outcome.latents.std().item<double>(), wanted, 0.03 * wanted);
}

TEST(Ddim, WithoutEtaDrawsNothingAndWithItOneDrawAStep) {
  const auto draws_taken = [](double eta) {
    Noise noise(Rng::cpu, 3);
    run_alone(sampler_named("ddim").start(at::ones({1, 1, 2, 2}), circle(3, kNoisy, kClean), {.eta = eta}, noise),
              gaussian_denoiser(1));
    const Tensor next = noise.draw({1, 1, 2, 2});
    Noise fresh(Rng::cpu, 3);
    int draws = 0;
    while (!at::equal(fresh.draw({1, 1, 2, 2}), next)) ++draws;
    return draws;
  };
  EXPECT_EQ(draws_taken(0), 0);
  EXPECT_EQ(draws_taken(0.5), 3);
}

TEST(Ddim, ClipsX0AndLeavesEps) {
  // One step from alpha = sigma to sigma 0, with eps answered as 0: x0 = x / alpha, and the end is x0, clipped.
  Schedule schedule{{{1.0, std::sqrt(0.5), std::sqrt(0.5)}, {std::nullopt, 1, 0}}};
  const auto zero = [](const Tensor& x, auto&&...) { return at::zeros_like(x); };
  const Tensor x = at::full({1, 1, 1, 1}, 3.0);
  const Outcome outcome = run_alone(sampler_named("ddim").start(x, schedule, {.clip_sample_range = 2.0}, {}), zero);
  EXPECT_EQ(outcome.latents.item<double>(), 2.0);
}

TEST(Ddim, StartsAtAlphaZeroWithAVPredictionModel) {
  // Zero terminal SNR. For N(0, s²): E[v | x] = alpha E[eps | x] - sigma E[x0 | x], both means linear in x.
  const double s = 0.5;
  const auto v_model = [s](const Tensor& x, const Tensor& angles, const std::vector<Tensor>&) {
    const double angle = angles.item<double>(), alpha = std::cos(angle), sigma = std::sin(angle);
    const double variance = alpha * alpha * s * s + sigma * sigma;
    return x * ((alpha * sigma - sigma * alpha * s * s) / variance);
  };
  Schedule schedule = circle(400, std::acos(0.0), kClean);
  schedule.levels.front().alpha = 0;
  const Outcome outcome = run_alone(sampler_named("ddim").start(at::ones({1, 1, 1, 1}), schedule, {}, {}), v_model,
                                    nullptr, PredictionType::v_prediction);
  EXPECT_NEAR(outcome.latents.item<double>(), deviation(s, kClean), 0.01);
}

TEST(Ddim, KeepsTheNoiseOfEveryFlowLevelWhateverEtaIs) {
  // Data at one point: at each level x is alpha c + sigma eps, however much of eps is new.
  struct Deviations : Watcher {
    Verdict stepped(const Step& step) override {
      const double deviation = (step.x - step.level.alpha * 0.7).square().mean().sqrt().item<double>();
      EXPECT_NEAR(deviation, step.level.sigma, 0.02);
      return {};
    }
  };
  const auto point = [](const Tensor& x, auto&&...) { return at::full_like(x, 0.7); };
  for (const double eta : {0.0, 0.5, 1.0}) {
    Schedule schedule;
    for (const double sigma : {1.0, 0.8, 0.5, 0.4, 0.1}) schedule.levels.push_back({1000 * sigma, 1 - sigma, sigma});
    schedule.levels.push_back({std::nullopt, 1, 0});
    Noise noise(Rng::cpu, 1);
    const Tensor x = noise.draw({1, 1, 128, 128});
    Deviations deviations;
    const Outcome outcome = run_alone(sampler_named("ddim").start(x, schedule, {.eta = eta}, noise), point, &deviations,
                                      PredictionType::sample);
    EXPECT_NEAR(outcome.latents.mean().item<double>(), 0.7, 1e-5);
  }
}

TEST(Ddim, ScalesItsFreshNoise) {
  const auto spread = [](double s_noise) {  // of the last but one level, from no noise at all
    const Schedule schedule = circle(1, kNoisy, kClean);
    const auto zero = [](const Tensor& x, auto&&...) { return at::zeros_like(x); };
    return run_alone(sampler_named("ddim").start(at::zeros({1, 1, 64, 64}), schedule, {.eta = 1, .s_noise = s_noise},
                                                 Noise(Rng::cpu, 1)),
                     zero)
        .latents.std()
        .item<double>();
  };
  EXPECT_NEAR(spread(0.25), spread(1) / 4, 1e-6);
  EXPECT_EQ(spread(0), 0);
}

TEST(Ddim, SaysWhichLevelRises) {
  Schedule schedule = circle(2, kNoisy, kClean);
  std::swap(schedule.levels[1], schedule.levels[2]);
  const auto sample = [&] {
    const Outcome outcome =
        run_alone(sampler_named("ddim").start(at::ones({1, 1, 1, 1}), schedule, {}, {}), gaussian_denoiser(1));
    if (outcome.error) std::rethrow_exception(outcome.error);
  };
  EXPECT_THAT(sample, ThrowsMessage<std::invalid_argument>(
                          StrEq("noise levels do not fall: sigma 0.699716 at level 2, after 0.0499792 at level 1")));
}

TEST(Prediction, InvertsTheTrainingNoiseForEveryType) {
  const double alpha = 0.6, sigma = 0.8;
  const NoiseLevel level{500.0, alpha, sigma};
  const Tensor x0 = at::full({1, 1, 1, 1}, 0.3), eps = at::full({1, 1, 1, 1}, -1.2);
  const Tensor x = alpha * x0 + sigma * eps;
  const std::vector<std::pair<PredictionType, Tensor>> outputs{
      {PredictionType::epsilon, eps},
      {PredictionType::v_prediction, alpha * eps - sigma * x0},
      {PredictionType::sample, x0},
  };
  for (const auto& [type, output] : outputs) {
    const Prediction p = prediction_of(type, x, output, level);
    EXPECT_NEAR(p.x0.item<double>(), 0.3, 1e-6) << name_of(type);
    EXPECT_NEAR(p.eps.item<double>(), -1.2, 1e-6) << name_of(type);
  }
}

TEST(Prediction, InvertsFlow) {
  const Tensor x0 = at::full({1}, 0.3), eps = at::full({1}, -1.2);
  const Prediction p = prediction_of(PredictionType::flow, 0.2 * x0 + 0.8 * eps, eps - x0, {800.0, 0.2, 0.8});
  EXPECT_NEAR(p.x0.item<double>(), 0.3, 1e-6);
  EXPECT_NEAR(p.eps.item<double>(), -1.2, 1e-6);
}

TEST(Prediction, NamesTheLevelItCantBeToldAt) {
  const Tensor x = at::ones({1});
  EXPECT_THAT([&] { prediction_of(PredictionType::epsilon, x, x, {999.0, 0, 1}); },
              ThrowsMessage<std::domain_error>(StrEq("x0 is undefined at alpha 0, sigma 1 (timestep 999) "
                                                     "for a model that predicts epsilon")));
  EXPECT_THROW(prediction_of(PredictionType::sample, x, x, {0.0, 1, 0}), std::domain_error);
}

}  // namespace
}  // namespace steplapse
