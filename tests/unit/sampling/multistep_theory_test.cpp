// Every sampler of samplers.h against what is known without it: the probability flow of Gaussian data, the
// marginals of its SDEs, integrals in closed form, and other samplers that must agree.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "sampling/samplers/samplers.h"
#include "steplapse/schedule.h"
#include "support/toy_denoiser.h"
#include "support/training_noise_maker.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::StrEq;
using testing::ThrowsMessage;

const std::vector<std::string_view> kDeterministic{"pndm", "ipndm", "dpmpp_2m", "unipc", "deis", "res_multistep"};
const std::vector<std::string_view> kByEta{"dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"};
const std::vector<std::string_view> kAlwaysFresh{"ddpm", "er_sde"};
const std::vector<std::string_view> kDistilled{"lcm", "tcd"};

std::vector<std::string_view> together(std::initializer_list<std::vector<std::string_view>> lists) {
  std::vector<std::string_view> all;
  for (const auto& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

std::vector<std::string_view> all() { return together({kDeterministic, kByEta, kAlwaysFresh, kDistilled}); }

/// The sampler's own eta, as the table has it.
SamplerOptions options_of(std::string_view name) { return {.eta = sampler_named(name).eta.value_or(0)}; }

Outcome run(std::string_view name, Tensor x, Schedule schedule, SamplerOptions options, Noise noise, Denoiser denoiser,
            PredictionType type = PredictionType::sample, Watcher* watcher = nullptr) {
  Outcome outcome = run_alone(sampler_named(name).start(std::move(x), std::move(schedule), options, std::move(noise)),
                              std::move(denoiser), watcher, type);
  if (outcome.error) std::rethrow_exception(outcome.error);
  return outcome;
}

// ---- levels, and what a network says at them -----------------------------------------------------------------------
// The network is told 100 and the number of the level, from which it finds alpha and sigma.

Schedule numbered(Schedule schedule) {
  auto& levels = schedule.levels;
  for (size_t i = 0; i < levels.size(); ++i) levels[i].timestep = 100 + static_cast<double>(i);
  if (levels.back().sigma == 0) levels.back().timestep.reset();
  return schedule;
}

/// n steps evenly spaced in lambda from -2 to 2, variance preserving.
Schedule even_in_lambda(int64_t steps) {
  Schedule schedule;
  for (int64_t i = 0; i <= steps; ++i) {
    const double k = std::exp(2 - 4 * static_cast<double>(i) / static_cast<double>(steps));
    schedule.levels.push_back({0.0, 1 / std::hypot(1, k), k / std::hypot(1, k)});
  }
  return numbered(std::move(schedule));
}

/// Flow from pure noise to the image: sigma falls evenly from 1 to 0, and alpha = 1 - sigma rises from 0.
Schedule flow_levels(int64_t steps) {
  Schedule schedule;
  for (int64_t i = 0; i <= steps; ++i) {
    const double alpha = static_cast<double>(i) / static_cast<double>(steps);
    schedule.levels.push_back({0.0, alpha, 1 - alpha});
  }
  return numbered(std::move(schedule));
}

/// Zero terminal SNR: a quarter of a circle, from alpha 0 to sigma 0.
Schedule quarter_circle(int64_t steps) {
  Schedule schedule = circle(steps, std::acos(0.0), 0);
  schedule.levels.front().alpha = 0;
  return numbered(std::move(schedule));
}

Schedule part_of_circle(int64_t steps) { return numbered(circle(steps, 1.5, 0.05)); }

/// The x0 a network finds in x, in float64.
using X0 = std::function<Tensor(const Tensor& x, const NoiseLevel& level)>;

Denoiser network_of(const Schedule& schedule, X0 x0_of, PredictionType type = PredictionType::sample) {
  return [=](const Tensor& x, const Tensor& timesteps, const std::vector<Tensor>&) -> Tensor {
    const NoiseLevel level = schedule.levels.at(static_cast<size_t>(timesteps.item<double>()) - 100);
    const Tensor wide = x.to(at::kDouble), x0 = x0_of(wide, level);
    if (type == PredictionType::v_prediction) return ((level.alpha * wide - x0) / level.sigma).to(at::kFloat);
    if (type == PredictionType::flow) return ((wide - x0) / level.sigma).to(at::kFloat);
    return x0.to(at::kFloat);
  };
}

/// Data from N(0, s²) is N(0, deviation²) at a level; the probability flow keeps x / deviation.
double deviation(double s, const NoiseLevel& level) { return std::hypot(level.alpha * s, level.sigma); }

/// The mean of x0 given x.
X0 gaussian(double s) {
  return [s](const Tensor& x, const NoiseLevel& level) -> Tensor {
    const double d = deviation(s, level);
    return x * (level.alpha * s * s / (d * d));
  };
}

/// Where the probability flow from x ends: what a consistency model learns.
X0 consistent(double s) {
  return [s](const Tensor& x, const NoiseLevel& level) -> Tensor { return x * (s / deviation(s, level)); };
}

/// x0 is told by the level alone.
X0 of_level(std::function<double(const NoiseLevel&)> value) {
  return [=](const Tensor& x, const NoiseLevel& level) -> Tensor { return at::full_like(x, value(level)); };
}

/// A list with a way to ask over it.
struct Course {
  std::string_view name;
  Schedule (*schedule)(int64_t steps);
  PredictionType type;
};

const std::vector<Course> kCourses{{"part of a circle", part_of_circle, PredictionType::sample},
                                   {"v-prediction from alpha 0", quarter_circle, PredictionType::v_prediction},
                                   {"flow", flow_levels, PredictionType::flow}};

/// Steps as a watcher sees them.
struct Notes : Watcher {
  std::vector<double> timesteps;
  std::vector<Step> steps;
  double x(size_t i) const { return steps[i].x.item<double>(); }

  void answered(const Question& question, const Answer&) override { timesteps.push_back(*question.level.timestep); }
  Verdict stepped(const Step& step) override {
    steps.push_back(step);
    return {};
  }
};

// ---- deterministic samplers -----------------------------------------------------------------------------------------

double error_after(std::string_view name, const Schedule& schedule, double s) {
  const Outcome outcome = run(name, at::ones({1, 1, 1, 1}), schedule, {}, {}, network_of(schedule, gaussian(s)));
  return std::abs(outcome.latents.item<double>() -
                  deviation(s, schedule.levels.back()) / deviation(s, schedule.levels.front()));
}

TEST(MultistepSamplers, ErrorsFallByTheOrderInTheTableWhenStepsDouble) {
  for (const auto name : together({kDeterministic, kByEta, {"tcd"}})) {
    const double few = error_after(name, even_in_lambda(80), 0.5), many = error_after(name, even_in_lambda(160), 0.5);
    EXPECT_NEAR(std::log2(few / many), sampler_named(name).order, 0.3) << name;
  }
}

TEST(MultistepSamplers, ReachTheEndOfTheProbabilityFlowFromAlphaZero) {
  const double s = 0.5;
  for (const Course& course : kCourses) {
    const Schedule schedule = course.schedule(200);
    for (const auto name : together({kDeterministic, kByEta})) {
      const Outcome outcome = run(name, at::ones({1, 1, 1, 1}), schedule, {}, {},
                                  network_of(schedule, gaussian(s), course.type), course.type);
      const double wanted = deviation(s, schedule.levels.back()) / deviation(s, schedule.levels.front());
      EXPECT_NEAR(outcome.latents.item<double>() / wanted, 1, 0.01) << name << ", " << course.name;
    }
  }
}

TEST(MultistepSamplers, TellEachStepOnceWithTheFirstEstimateInIt) {
  const Schedule schedule = even_in_lambda(5);
  for (const auto name : all()) {
    Notes notes;
    const auto said = of_level([](const NoiseLevel& level) { return level.sigma; });
    run(name, at::ones({1, 1, 1, 1}), schedule, options_of(name), Noise(Rng::cpu, 1), network_of(schedule, said),
        PredictionType::sample, &notes);
    ASSERT_EQ(notes.steps.size(), 5) << name;
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(notes.steps[i].number, i + 1) << name;
      EXPECT_EQ(notes.steps[i].level, schedule.levels[i + 1]) << name;
      EXPECT_NEAR(notes.steps[i].x0.item<double>(), schedule.levels[i].sigma, 1e-5) << name;
    }
  }
}

TEST(MultistepSamplers, AskOnceAStepButPndmTwiceInItsFirst) {
  const Schedule schedule = even_in_lambda(4);
  for (const auto name : all()) {
    Notes notes;
    run(name, at::ones({1, 1, 1, 1}), schedule, options_of(name), Noise(Rng::cpu, 1), network_of(schedule, gaussian(1)),
        PredictionType::sample, &notes);
    if (name == "pndm") {
      EXPECT_THAT(notes.timesteps, ElementsAre(100, 101, 101, 102, 103));
    } else {
      EXPECT_THAT(notes.timesteps, ElementsAre(100, 101, 102, 103)) << name;
    }
  }
}

TEST(MultistepSamplers, OneStepIsOneCallOfFirstOrder) {
  const Schedule schedule = even_in_lambda(1);
  const Tensor x = at::ones({1, 1, 1, 1});
  const Outcome ddim = run("ddim", x, schedule, {}, {}, network_of(schedule, gaussian(0.5)));
  for (const auto name : together({kDeterministic, kByEta})) {
    Notes notes;
    const Outcome outcome =
        run(name, x, schedule, {}, {}, network_of(schedule, gaussian(0.5)), PredictionType::sample, &notes);
    EXPECT_TRUE(at::allclose(outcome.latents, ddim.latents, 1e-5, 1e-6)) << name;
    EXPECT_EQ(notes.timesteps.size(), 1) << name;
  }
}

TEST(MultistepSamplers, RememberNothingOfALevelWithAlphaZero) {
  // So their second step is of first order too, and nothing corrects the first.
  const Schedule schedule = quarter_circle(5);
  const auto network = network_of(schedule, gaussian(0.5), PredictionType::v_prediction);
  const auto second_step = [&](std::string_view name) {
    Notes notes;
    run(name, at::ones({1, 1, 1, 1}), schedule, {}, {}, network, PredictionType::v_prediction, &notes);
    return notes.x(1);
  };
  for (const auto name : together({{"dpmpp_2m", "unipc", "deis", "res_multistep"}, kByEta})) {
    EXPECT_NEAR(second_step(name), second_step("ddim"), 1e-6) << name;
  }
}

// A level that is there twice, as lists rounded to timesteps have it, is a step of no length: differences over it would
// be divided by 0.
TEST(MultistepSamplers, PassALevelThatIsListedTwice) {
  Schedule schedule = even_in_lambda(10);
  Schedule doubled = schedule;
  doubled.levels.insert(doubled.levels.begin() + 4, 2, doubled.levels[4]);
  doubled = numbered(doubled);
  for (const auto name : together({kDeterministic, kByEta, {"er_sde"}})) {
    const auto ended = [&](const Schedule& over) {
      const auto network = network_of(over, gaussian(0.5));
      return run(name, at::ones({1, 1, 1, 1}), over, {.s_noise = 0}, {}, network).latents.item<double>();
    };
    // The formulas of Adams and Bashforth go by the number of steps, and lose something; UniPC gains from asking again.
    EXPECT_NEAR(ended(doubled), ended(schedule), name.ends_with("pndm") ? 0.05 : 1e-4) << name;
  }
}

TEST(MultistepSamplers, WithoutFreshNoiseDrawNothing) {
  // The default stream has no numbers: drawing would be an error.
  for (const Course& course : kCourses) {
    const Schedule schedule = course.schedule(4);
    const auto network = network_of(schedule, gaussian(0.5), course.type);
    const auto run_with = [&](std::string_view name, SamplerOptions options) {
      run(name, at::ones({1, 1, 1, 1}), schedule, options, {}, network, course.type);
    };
    for (const auto name : together({kDeterministic, kByEta, {"tcd"}})) EXPECT_NO_THROW(run_with(name, {})) << name;
    for (const auto name : all()) EXPECT_NO_THROW(run_with(name, {.eta = 1, .s_noise = 0})) << name;
  }
}

int draws_taken(std::string_view name, const Schedule& schedule) {
  Noise noise(Rng::cpu, 3), fresh(Rng::cpu, 3);
  run(name, at::ones({1, 1, 2, 2}), schedule, options_of(name), noise, network_of(schedule, gaussian(0.5)));
  const Tensor next = noise.draw({1, 1, 2, 2});
  int draws = 0;
  while (!at::equal(fresh.draw({1, 1, 2, 2}), next)) ++draws;
  return draws;
}

TEST(MultistepSamplers, DrawOnceAStepButToSigmaZero) {
  Schedule to_zero = even_in_lambda(4);
  to_zero.levels.back() = {std::nullopt, 1, 0};
  for (const auto name : together({kByEta, kAlwaysFresh, kDistilled})) {
    EXPECT_EQ(draws_taken(name, even_in_lambda(4)), 4) << name;
    EXPECT_EQ(draws_taken(name, to_zero), 3) << name;
  }
}

TEST(MultistepSamplers, SayWhichEtaIsNone) {
  const auto with = [](std::string_view name, double eta) {
    const Schedule schedule = even_in_lambda(2);
    run(name, at::ones({1, 1, 1, 1}), schedule, {.eta = eta}, {}, network_of(schedule, gaussian(1)));
  };
  for (const auto name : kByEta) {
    EXPECT_THAT([&] { with(name, -0.1); }, ThrowsMessage<std::invalid_argument>(StrEq("eta must be 0 or more")));
  }
  EXPECT_THAT([&] { with("tcd", 1.1); }, ThrowsMessage<std::invalid_argument>(StrEq("eta must be from 0 to 1")));
}

// ---- formulas that are exact somewhere ------------------------------------------------------------------------------

// Where eps is a cubic in time, four values tell all of it, and x / alpha moves by its integral.
TEST(AdamsBashforth, IntegratesCubicsExactlyOnceFourValuesAreThere) {
  Schedule schedule;
  for (int i = 0; i <= 8; ++i) {
    const double k = 2 - 0.2 * i;
    schedule.levels.push_back({0.0, 1 / std::hypot(1, k), k / std::hypot(1, k)});
  }
  schedule = numbered(std::move(schedule));
  const auto eps = [](double k) { return 1 - 2 * k + 3 * k * k - k * k * k; };
  const auto integral = [](double k) { return k - k * k + k * k * k - k * k * k * k / 4; };
  const X0 x0 = [&](const Tensor& x, const NoiseLevel& level) -> Tensor {
    return (x - level.sigma * eps(noise_ratio(level))) / level.alpha;
  };
  for (const auto name : {"pndm", "ipndm"}) {
    Notes notes;
    run(name, at::ones({1, 1, 1, 1}), schedule, {}, {}, network_of(schedule, x0), PredictionType::sample, &notes);
    for (size_t i = 3; i < 8; ++i) {
      const NoiseLevel from = schedule.levels[i], to = schedule.levels[i + 1];
      const double moved = notes.x(i) / to.alpha - notes.x(i - 1) / from.alpha;
      EXPECT_NEAR(moved, integral(noise_ratio(to)) - integral(noise_ratio(from)), 1e-5) << name << ", step " << i + 1;
    }
  }
}

TEST(Pndm, IsExactFromItsFirstStepWhereEpsIsLinearInTime) {
  Schedule schedule;
  for (const double k : {2.0, 1.5, 1.0, 0.5}) {
    schedule.levels.push_back({0.0, 1 / std::hypot(1, k), k / std::hypot(1, k)});
  }
  schedule = numbered(std::move(schedule));
  const X0 x0 = [](const Tensor& x, const NoiseLevel& level) -> Tensor {
    return (x - level.sigma * (1 + noise_ratio(level))) / level.alpha;
  };
  const Outcome outcome = run("pndm", at::ones({1, 1, 1, 1}), schedule, {}, {}, network_of(schedule, x0));
  const auto integral = [](double k) { return k + k * k / 2; };
  EXPECT_NEAR(outcome.latents.item<double>() / schedule.levels.back().alpha,
              1 / schedule.levels.front().alpha + integral(0.5) - integral(2), 1e-5);
}

// Where x0 is linear in lambda, two values tell all of it. x / sigma moves by the integral of exp(lambda) x0(lambda).
TEST(ExponentialIntegrators, AreExactWhereX0IsLinearInLambda) {
  const Schedule schedule = even_in_lambda(6);
  const auto lambda = [](const NoiseLevel& level) { return std::log(level.alpha / level.sigma); };
  const auto integral = [&](const NoiseLevel& level) {  // of exp(lambda) (1 + lambda / 2)
    return std::exp(lambda(level)) * (0.5 + lambda(level) / 2);
  };
  const X0 x0 = of_level([&](const NoiseLevel& level) { return 1 + lambda(level) / 2; });
  for (const auto name : {"res_multistep", "dpmpp_2m_sde_heun", "dpmpp_3m_sde"}) {
    Notes notes;
    run(name, at::ones({1, 1, 1, 1}), schedule, {}, {}, network_of(schedule, x0), PredictionType::sample, &notes);
    for (size_t i = 1; i < 6; ++i) {
      const NoiseLevel from = schedule.levels[i], to = schedule.levels[i + 1];
      const double moved = notes.x(i) / to.sigma - notes.x(i - 1) / from.sigma;
      EXPECT_NEAR(moved / (integral(to) - integral(from)), 1, 1e-5) << name << ", step " << i + 1;
    }
  }
}

TEST(Deis, IsExactWhereEpsIsLinearInLogRho) {
  const Schedule schedule = even_in_lambda(6);
  const auto integral = [](double k) { return k * std::log(k); };  // of 1 + log k
  const X0 x0 = [](const Tensor& x, const NoiseLevel& level) -> Tensor {
    return (x - level.sigma * (1 + std::log(noise_ratio(level)))) / level.alpha;
  };
  Notes notes;
  run("deis", at::ones({1, 1, 1, 1}), schedule, {}, {}, network_of(schedule, x0), PredictionType::sample, &notes);
  for (size_t i = 1; i < 6; ++i) {
    const NoiseLevel from = schedule.levels[i], to = schedule.levels[i + 1];
    const double moved = notes.x(i) / to.alpha - notes.x(i - 1) / from.alpha;
    EXPECT_NEAR(moved, integral(noise_ratio(to)) - integral(noise_ratio(from)), 1e-5) << "step " << i + 1;
  }
}

/// Where dX/dk = (phi'/phi) (X - x0(k)), the mean of the ER SDE, takes X from k to k_next: by small Runge-Kutta steps.
double er_mean(double X, double k, double k_next, const std::function<double(double)>& x0) {
  const auto log_phi = [](double at) { return std::log(at * (std::exp(std::pow(at, 0.3)) + 10)); };
  const auto slope = [&](double at, double value) {
    return (log_phi(at + 1e-5) - log_phi(at - 1e-5)) / 2e-5 * (value - x0(at));
  };
  constexpr int kSteps = 400;
  const double d = (k_next - k) / kSteps;
  for (int i = 0; i < kSteps; ++i, k += d) {
    const double a = slope(k, X), b = slope(k + d / 2, X + d / 2 * a), c = slope(k + d / 2, X + d / 2 * b),
                 e = slope(k + d, X + d * c);
    X += d / 6 * (a + 2 * b + 2 * c + e);
  }
  return X;
}

TEST(ErSde, FollowsTheMeanOfItsEquation) {
  // x0 linear in k: exact from the second step on, the third with a second derivative of 0. x0 quadratic: what is left
  // of the third is the slope's error, that of a line through k and k_last, and moves X as a slope does.
  const Schedule schedule = even_in_lambda(4);
  const auto k_of = [&](size_t i) { return noise_ratio(schedule.levels[i]); };
  const auto steps_over = [&](const std::function<double(double)>& x0) {
    Notes notes;
    run("er_sde", at::ones({1, 1, 1, 1}), schedule, {.s_noise = 0}, {},
        network_of(schedule, of_level([&](const NoiseLevel& level) { return x0(noise_ratio(level)); })),
        PredictionType::sample, &notes);
    std::vector<double> X;
    for (const Step& step : notes.steps) X.push_back(step.x.item<double>() / step.level.alpha);
    return X;
  };
  const auto line = [](double k) { return 1 + k / 2; };
  const auto on_line = steps_over(line);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_NEAR(on_line[i], er_mean(on_line[i - 1], k_of(i), k_of(i + 1), line), 1e-4) << "step " << i + 1;
  }

  const auto square = [](double k) { return k * k; };
  const auto on_square = steps_over(square);
  for (size_t i = 2; i < 4; ++i) {
    const auto tangent = [&](double k) { return k - k_of(i); };
    const double of_slope = (k_of(i - 1) - k_of(i)) * er_mean(0, k_of(i), k_of(i + 1), tangent);
    EXPECT_NEAR(on_square[i], er_mean(on_square[i - 1], k_of(i), k_of(i + 1), square) + of_slope, 1e-4)
        << "step " << i + 1;
  }
}

TEST(UniPc, KeepsWhatAWatcherChanged) {
  // With x0 told by the level alone, a change of x at step 2 shrinks as sigma does, whatever corrections do to x.
  struct Changer : Watcher {
    Verdict stepped(const Step& step) override { return {false, step.number == 2 ? step.x + 1 : Tensor()}; }
  } changer;
  const Schedule schedule = even_in_lambda(6);
  const auto network = network_of(schedule, of_level([](const NoiseLevel& level) { return level.sigma; }));
  const Tensor x = at::ones({1, 1, 1, 1});
  const Outcome changed = run("unipc", x, schedule, {}, {}, network, PredictionType::sample, &changer);
  const Outcome plain = run("unipc", x, schedule, {}, {}, network);
  EXPECT_NEAR((changed.latents - plain.latents).item<double>(), schedule.levels.back().sigma / schedule.levels[2].sigma,
              1e-5);
}

// ---- stochastic samplers --------------------------------------------------------------------------------------------

// 128 x 128 samples: a standard error of 1/128 of the deviation for the mean, of 0.6% for the deviation.
void expect_normal(const Tensor& x, double mean, double wanted, const std::string& what) {
  EXPECT_NEAR(x.mean().item<double>(), mean, 4 * wanted / 128) << what;
  EXPECT_NEAR(x.std().item<double>() / wanted, 1, 0.03) << what;
}

TEST(MultistepSamplers, WithFreshNoiseEndInTheDataDistribution) {
  const double s = 0.5;
  for (const Course& course : kCourses) {
    const Schedule schedule = course.schedule(200);
    for (const auto name : together({kByEta, kAlwaysFresh})) {
      for (const double eta : {0.5, 1.0}) {
        Noise noise(Rng::cpu, 7);
        const Tensor x = deviation(s, schedule.levels.front()) * noise.draw({1, 1, 128, 128});
        const auto network = network_of(schedule, gaussian(s), course.type);
        const Outcome outcome = run(name, x, schedule, {.eta = eta}, noise, network, course.type);
        expect_normal(outcome.latents, 0, deviation(s, schedule.levels.back()),
                      std::string(name) + ", eta " + std::to_string(eta) + ", " + std::string(course.name));
      }
    }
  }
}

// Where the data is one point c, x0 is c and eps what x has of noise: x is N(alpha c, sigma²) at every level, whatever
// share of the noise is fresh and however long the steps.
TEST(MultistepSamplers, KeepTheNoiseOfEveryLevelAroundAPoint) {
  const double c = 0.7;
  for (const Course& course : kCourses) {
    const Schedule schedule = course.schedule(5);
    for (const auto name : together({kByEta, kAlwaysFresh, kDistilled})) {
      for (const double eta : {0.0, 0.3, 1.0}) {
        // Without a table, lists that are no flow have no levels for tcd to go to.
        if (name == "tcd" && eta > 0 && course.type != PredictionType::flow) continue;
        Noise noise(Rng::cpu, 7);
        const NoiseLevel first = schedule.levels.front();
        const Tensor x = first.alpha * c + first.sigma * noise.draw({1, 1, 128, 128});
        Notes notes;
        const auto network = network_of(schedule, of_level([&](auto&) { return c; }), course.type);
        run(name, x, schedule, {.eta = eta}, noise, network, course.type, &notes);
        for (const Step& step : notes.steps) {
          const std::string what = std::string(name) + ", eta " + std::to_string(eta) + ", " +
                                   std::string(course.name) + ", step " + std::to_string(step.number);
          if (step.level.sigma > 0) {
            expect_normal(step.x, step.level.alpha * c, step.level.sigma, what);
          } else {
            EXPECT_TRUE(at::allclose(step.x, at::full_like(x, c), 1e-4, 1e-4)) << what;
          }
        }
      }
    }
  }
}

TEST(MultistepSamplers, ScaleTheirNoiseByHowMuchIsAsked) {
  // One step, and x0 told by the level alone: the noise added is what two runs differ by, and linear in s_noise.
  const Schedule schedule = even_in_lambda(1);
  const auto network = network_of(schedule, of_level([](auto&) { return 1.0; }));
  for (const auto name : together({kByEta, kAlwaysFresh, kDistilled})) {
    const auto ended = [&](double s_noise) {
      const SamplerOptions options{.eta = 1, .s_noise = s_noise};
      return run(name, at::ones({1, 1, 2, 2}), schedule, options, Noise(Rng::cpu, 1), network).latents;
    };
    EXPECT_TRUE(at::allclose(ended(1) - ended(0), 2 * (ended(0.5) - ended(0)), 1e-5, 1e-5)) << name;
    EXPECT_FALSE(at::equal(ended(1), ended(0))) << name;
  }
}

TEST(Ddpm, IsDdimWithAllNoiseFresh) {
  const Schedule schedule = part_of_circle(10);
  const auto network = network_of(schedule, gaussian(0.5));
  const auto ended = [&](std::string_view name) {
    return run(name, at::ones({1, 1, 2, 2}), schedule, {.eta = 1}, Noise(Rng::cpu, 1), network).latents;
  };
  EXPECT_TRUE(at::allclose(ended("ddpm"), ended("ddim"), 1e-5, 1e-5));
}

TEST(Ddpm, ClipsX0AndKeepsX) {
  // Eq. 7 with alpha_bar from 0.36 to 0.64, x0 = 3 clipped to 2 and x = 1.
  const Schedule schedule = numbered({{{0.0, 0.6, 0.8}, {0.0, 0.8, 0.6}}});
  const auto network = network_of(schedule, of_level([](auto&) { return 3.0; }));
  const Outcome outcome =
      run("ddpm", at::ones({1, 1, 1, 1}), schedule, {.s_noise = 0, .clip_sample_range = 2.0}, {}, network);
  const double alpha = 0.36 / 0.64, beta = 1 - alpha;
  EXPECT_NEAR(outcome.latents.item<double>(), (0.8 * beta * 2 + std::sqrt(alpha) * 0.36 * 1) / 0.64, 1e-6);
}

TEST(TwoM, IsWhatIsLeftOfItsSdeWithoutNoise) {
  const Schedule schedule = part_of_circle(10);
  const auto ended = [&](std::string_view name) {
    return run(name, at::ones({1, 1, 2, 2}), schedule, {}, {}, network_of(schedule, gaussian(0.5))).latents;
  };
  EXPECT_TRUE(at::allclose(ended("dpmpp_2m_sde"), ended("dpmpp_2m"), 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(ended("dpmpp_2m_sde_heun"), ended("res_multistep"), 1e-5, 1e-6));
}

// ---- samplers of distilled models -----------------------------------------------------------------------------------

TEST(ConsistencySamplers, EndInTheDataDistributionInAnyNumberOfSteps) {
  // The exact consistency function takes N(0, deviation²) to N(0, s²), and fresh noise takes that to the next level.
  // (TCD with gamma 1 does the same where timestep 0 is sigma 0, as in flow models.)
  const double s = 0.5;
  for (const int64_t steps : {1, 2, 4}) {
    for (const Course& course : kCourses) {
      const Schedule schedule = course.schedule(steps);
      for (const auto name : kDistilled) {
        if (name == "tcd" && course.type != PredictionType::flow) continue;
        Noise noise(Rng::cpu, 7);
        const Tensor x = deviation(s, schedule.levels.front()) * noise.draw({1, 1, 128, 128});
        const auto network = network_of(schedule, consistent(s), course.type);
        const Outcome outcome = run(name, x, schedule, {.eta = 1}, noise, network, course.type);
        expect_normal(outcome.latents, 0, deviation(s, schedule.levels.back()),
                      std::string(name) + ", " + std::to_string(steps) + " steps, " + std::string(course.name));
      }
    }
  }
}

TEST(Lcm, TakesMoreOfXTheNearerTimestepZeroIs) {
  // c_skip = 1/4 / (t² + 1/4) and c_out = t / sqrt(t² + 1/4) at t = 10 timesteps; x = 1, x0 = 3.
  const auto ended = [](double timestep) {
    const Schedule schedule{{{timestep, 0.6, 0.8}, {std::nullopt, 1, 0}}};
    const auto three = [](const Tensor& x, auto&&...) { return at::full_like(x, 3.0); };
    return run("lcm", at::ones({1, 1, 1, 1}), schedule, {}, {}, three).latents.item<double>();
  };
  EXPECT_NEAR(ended(0), 1, 1e-6);
  EXPECT_NEAR(ended(0.05), 0.5 + 3 * std::sqrt(0.5), 1e-6);
  EXPECT_NEAR(ended(999), 3, 1e-3);
}

/// Ten levels of Stable Diffusion's table.
Schedule from_a_table() { return make_schedule(stable_diffusion(), schedule_named("trailing"), {.steps = 10}); }

Denoiser point_at(double c) {
  return [c](const Tensor& x, auto&&...) { return at::full_like(x, c); };
}

TEST(Tcd, KeepsTheNoiseOfEveryLevelOfItsTable) {
  const double c = 0.7;
  const Schedule schedule = from_a_table();
  for (const double gamma : {0.0, 0.3, 1.0}) {
    Noise noise(Rng::cpu, 7);
    const NoiseLevel first = schedule.levels.front();
    const Tensor x = first.alpha * c + first.sigma * noise.draw({1, 1, 128, 128});
    Notes notes;
    run("tcd", x, schedule, {.eta = gamma}, noise, point_at(c), PredictionType::sample, &notes);
    for (const Step& step : notes.steps) {
      if (step.level.sigma > 0) expect_normal(step.x, step.level.alpha * c, step.level.sigma, std::to_string(gamma));
    }
  }
}

TEST(Tcd, GivesUpOfXWhatGammaSays) {
  // One step to timestep t without noise: x at timestep (1 - gamma) t, rounded down, at alpha of t.
  const Schedule schedule = from_a_table();
  const double t = *schedule.levels[1].timestep, s = std::floor(0.7 * t);
  const double a_t = schedule.alphas_cumprod[static_cast<size_t>(t)];
  const double a_s = schedule.alphas_cumprod[static_cast<size_t>(s)];
  const NoiseLevel first = schedule.levels.front();
  Notes notes;
  run("tcd", at::ones({1, 1, 1, 1}), schedule, {.eta = 0.3, .s_noise = 0}, {}, point_at(0.5), PredictionType::sample,
      &notes);
  const double eps = (1 - first.alpha * 0.5) / first.sigma;
  EXPECT_NEAR(notes.steps[0].x.item<double>(), std::sqrt(a_t / a_s) * (std::sqrt(a_s) * 0.5 + std::sqrt(1 - a_s) * eps),
              1e-5);
}

TEST(Tcd, IsDdimWithoutGamma) {
  const Schedule schedule = part_of_circle(10);
  const auto ended = [&](std::string_view name) {
    return run(name, at::ones({1, 1, 2, 2}), schedule, {}, {}, network_of(schedule, gaussian(0.5))).latents;
  };
  EXPECT_TRUE(at::equal(ended("tcd"), ended("ddim")));
}

}  // namespace
}  // namespace steplapse
