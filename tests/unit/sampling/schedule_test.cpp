#include "steplapse/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>

#include "support/training_noise_maker.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::StrEq;
using testing::ThrowsMessage;

Schedule made(const TrainingNoise& noise, std::string_view name, int64_t steps, RunEnd end = RunEnd::final_alpha) {
  return make_schedule(noise, schedule_named(name), {.steps = steps, .end = end});
}

std::vector<double> timesteps(const Schedule& schedule) {
  std::vector<double> found;
  for (const NoiseLevel& level : schedule.levels) found.push_back(level.timestep.value_or(-1));
  return found;
}

std::vector<double> sigmas(const Schedule& schedule) {
  std::vector<double> found;
  for (const NoiseLevel& level : schedule.levels) found.push_back(noise_ratio(level));
  return found;
}

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const ScheduleRule& rule : schedules()) names.emplace_back(rule.name);
  return names;
}

// ---- diffusers' three spacings ----------------------------------------------------------------------------------------

// Lin et al. 2023, table 2, gives these for T = 1000 (counted from 1 there).
TEST(Schedule, SpacingsAreThoseOfThePaper) {
  const TrainingNoise noise = stable_diffusion();
  EXPECT_THAT(timesteps(made(noise, "leading", 10)), ElementsAre(901, 801, 701, 601, 501, 401, 301, 201, 101, 1, 0));
  EXPECT_THAT(timesteps(made(noise, "linspace", 10)), ElementsAre(999, 888, 777, 666, 555, 444, 333, 222, 111, 0, 0));
  EXPECT_THAT(timesteps(made(noise, "trailing", 10)), ElementsAre(999, 899, 799, 699, 599, 499, 399, 299, 199, 99, 0));
}

TEST(Schedule, StepsAreNoiseLevelsOfTheTrainingTable) {
  const TrainingNoise noise = stable_diffusion();
  const Schedule schedule = made(noise, "trailing", 5);
  for (const NoiseLevel& level : schedule.levels) {
    EXPECT_NEAR(level.alpha * level.alpha + level.sigma * level.sigma, 1, 1e-12);
  }
  EXPECT_EQ(schedule.levels[0].alpha, std::sqrt(noise.alphas_cumprod[999]));
}

TEST(Schedule, RefusesLeadingThatWouldNotStartInNoise) {
  const auto leading = [](int64_t steps) { return [steps] { made(stable_diffusion(), "leading", steps); }; };
  EXPECT_THAT(leading(600), ThrowsMessage<std::invalid_argument>(StrEq(
                                "leading with 600 steps would start at timestep 600, not at the noisiest, 999; use at "
                                "most 500 steps, or trailing or linspace")));
  EXPECT_THAT(leading(1000), ThrowsMessage<std::invalid_argument>(
                                 StrEq("leading with offset 1 and 1000 steps would start at timestep 1000, outside the "
                                       "model's 0 to 999; use trailing or linspace")));
  EXPECT_NO_THROW(leading(999)());
}

// ---- every schedule ---------------------------------------------------------------------------------------------------

// The numbers of steps that a rule may not keep to: ddim_uniform goes in whole strides, beta and laplace leave out what comes
// twice, lcm has 50 timesteps, leading does not start in noise with more than half of the timesteps.
TEST(Schedule, EveryStepCountGivesThatManySteps) {
  const TrainingNoise noise = stable_diffusion();
  for (const ScheduleRule& rule : schedules()) {
    const int64_t most = rule.name == "lcm" ? 50 : rule.name == "beta" ? 100 : rule.name == "laplace" ? 400 : 500;
    for (int64_t steps = 1; steps <= most; ++steps) {
      const Schedule schedule = make_schedule(noise, rule, {.steps = steps});
      EXPECT_TRUE(schedule.steps() == steps || rule.name == "ddim_uniform") << rule.name << ' ' << steps;
      EXPECT_NO_THROW(check_levels(schedule)) << rule.name << ' ' << steps;
      EXPECT_EQ(schedule.levels.back(), (NoiseLevel{std::nullopt, 1, 0})) << rule.name;
      EXPECT_TRUE(steps == 1 || noise_ratio(schedule.levels[0]) > noise_ratio(schedule.levels[1])) << rule.name;
      EXPECT_EQ(schedule.alphas_cumprod, noise.alphas_cumprod);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(Schedule, MostStartAtTheNoisiestLevel) {
  for (const auto& noise : {stable_diffusion(), zero_terminal_snr()}) {
    for (const ScheduleRule& rule : schedules()) {
      if (rule.name.starts_with("leading") || rule.name == "ddim_uniform") continue;
      // Stops short of alpha 0: sigmas that were published, and a distribution's.
      const bool bounded = rule.name.starts_with("ays") || rule.name == "laplace";
      if (bounded && noise.alphas_cumprod.back() == 0) continue;
      const NoiseLevel first = make_schedule(noise, rule, {.steps = 12}).levels.front();
      EXPECT_NEAR(first.timestep.value(), 999, 1e-6) << rule.name;
    }
  }
}

// alpha 0 itself where a rule names timesteps, and where it names sigmas the 4096 that diffusers' Euler has.
TEST(Schedule, StartsInNoiseAloneWhereTheModelDoes) {
  for (const char* name : {"trailing", "linspace", "linspace_sigma", "linspace_solver", "normal", "simple",
                           "sgm_uniform", "beta", "lcm"}) {
    EXPECT_EQ(made(zero_terminal_snr(), name, 10).levels[0], (NoiseLevel{999.0, 0, 1})) << name;
  }
  for (const char* name :
       {"karras", "exponential", "polyexponential", "kl_optimal", "laplace", "beta_sigma", "linear_quadratic"}) {
    const Schedule schedule = made(zero_terminal_snr(), name, 10);
    // Its largest quantile is below.
    EXPECT_NEAR(noise_ratio(schedule.levels[0]),
                std::string(name) == "laplace" ? std::exp(-0.5 * std::log(1e-5)) : 4096, 1e-6);
    EXPECT_LT(noise_ratio(schedule.levels[1]), 4096) << name;
    EXPECT_NO_THROW(check_levels(schedule));
  }
}

TEST(Schedule, EndsAtTheModelsOwnLastLevelOnlyForSpacingsAndSamplersThatDo) {
  for (const ScheduleRule& rule : schedules()) {
    const std::set<std::string_view> spacings{"leading", "linspace", "trailing", "ddim_uniform"};
    const NoiseLevel own{0.0, std::sqrt(stable_diffusion().final_alpha_cumprod),
                         std::sqrt(1 - stable_diffusion().final_alpha_cumprod)};
    const NoiseLevel clean{std::nullopt, 1, 0};
    EXPECT_EQ(make_schedule(stable_diffusion(), rule, {.steps = 2, .end = RunEnd::final_alpha}).levels.back(),
              spacings.contains(rule.name) ? own : clean)
        << rule.name;
    EXPECT_EQ(make_schedule(stable_diffusion(), rule, {.steps = 2}).levels.back(), clean) << rule.name;
  }
}

TEST(Schedule, EndsWhereAskedOutsideTheSpacingsToo) {
  const auto ended = [](RunEnd end) { return timesteps(made(stable_diffusion(), "sgm_uniform", 3, end)); };
  EXPECT_THAT(ended(RunEnd::zero), ElementsAre(999, 666, 333, -1));
  EXPECT_THAT(ended(RunEnd::final_alpha), ElementsAre(999, 666, 333, -1));
  EXPECT_THAT(ended(RunEnd::timestep_0), ElementsAre(999, 666, 333, 0));
  EXPECT_THAT(ended(RunEnd::last_listed), ElementsAre(999, 666, 333));
  EXPECT_THAT(ended(RunEnd::last_asked), ElementsAre(999, 666, 333, 333));
}

TEST(Schedule, StartsAtTheScaleOfTheToolItIsFrom) {
  const TrainingNoise noise = stable_diffusion();
  EXPECT_EQ(made(noise, "trailing", 10).init_scale, 1);
  const Schedule karras = made(noise, "karras", 10);
  EXPECT_EQ(karras.init_scale, karras.levels[0].sigma);
  EXPECT_LT(karras.init_scale, 1);
  const NoiseScale scale(noise);
  EXPECT_EQ(init_scale(StartScale::unit_at_max, scale, karras.levels), 1);
  EXPECT_EQ(init_scale(StartScale::unit_at_max, scale, {karras.levels[1]}), karras.levels[1].sigma);
}

// ---- closed forms -----------------------------------------------------------------------------------------------------

void expect_sigmas(std::string_view name, const ScheduleRequest& request, const std::vector<double>& wanted) {
  const auto found = sigmas(make_schedule(stable_diffusion(), schedule_named(name), request));
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(found[i], wanted[i], 1e-9) << name << ' ' << i;
}

TEST(Schedule, SigmasFollowTheirFormulas) {
  // rho 1 and 2 of Karras et al.'s eq. 5 by hand.
  expect_sigmas("karras", {.steps = 3, .sigma_min = 1.0, .sigma_max = 9.0, .rho = 1.0}, {9, 5, 1, 0});
  expect_sigmas("karras", {.steps = 3, .sigma_min = 1.0, .sigma_max = 9.0, .rho = 2.0}, {9, 4, 1, 0});
  expect_sigmas("exponential", {.steps = 3, .sigma_min = 0.25, .sigma_max = 4.0}, {4, 1, 0.25, 0});
  expect_sigmas("polyexponential", {.steps = 3, .sigma_min = 0.25, .sigma_max = 4.0, .rho = 1.0}, {4, 1, 0.25, 0});
  expect_sigmas("polyexponential", {.steps = 3, .sigma_min = 0.25, .sigma_max = 4.0, .rho = 2.0},
                {4, std::pow(4, 0.25) * std::pow(0.25, 0.75), 0.25, 0});
  expect_sigmas("kl_optimal", {.steps = 3, .sigma_min = std::tan(0.5), .sigma_max = std::tan(1.3)},
                {std::tan(1.3), std::tan(0.9), std::tan(0.5), 0});
  // Quantiles 0, 1/4, 1/2, 3/4 and 1 of a Laplace distribution of scale 1/2: e^0 / 2 inside the logarithm at the quarters.
  const double quarter = std::pow(0.5 + 1e-5, -0.5);
  expect_sigmas("laplace", {.steps = 5, .sigma_min = 0.1, .sigma_max = 10.0},
                {10, quarter, std::pow(1 + 1e-5, 0), 1 / quarter, 0.1, 0});
}

// Four steps of 10: 0 and 1.25 % gone, then 2.5 % and what the parabola through (2, 2.5 %) with slope 1.25 % and (4, 1) has at 3.
TEST(Schedule, LinearQuadraticGoesOnWithTheSameSlope) {
  const double curve = (1 - 0.025 - 2 * 0.0125) / 4;
  expect_sigmas("linear_quadratic", {.steps = 4, .sigma_max = 10.0},
                {10, 10 * (1 - 0.0125), 10 * (1 - 0.025), 10 * (1 - 0.0375 - curve), 0});
  expect_sigmas("linear_quadratic", {.steps = 1, .sigma_max = 10.0}, {10, 0});
}

TEST(Schedule, AlignYourStepsIsThePublishedListAtTenSteps) {
  expect_sigmas("ays_sd1", {.steps = 10}, {14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0});
  expect_sigmas("ays_sdxl", {.steps = 10}, {14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0});
  // Half way between in the logarithm.
  const auto twice = sigmas(made(stable_diffusion(), "ays_sd1", 20));
  EXPECT_NEAR(twice[1], std::sqrt(14.615 * 6.475), 1e-9);
  EXPECT_NEAR(twice[19], std::sqrt(0.152 * 0.029), 1e-9);
}

TEST(Schedule, DdimUniformMakesMoreStepsThanAsked) {
  EXPECT_EQ(made(stable_diffusion(), "ddim_uniform", 80).steps(), 84);
  EXPECT_THAT(timesteps(made(stable_diffusion(), "ddim_uniform", 5, RunEnd::zero)),
              ElementsAre(801, 601, 401, 201, 1, -1));
}

TEST(Schedule, LcmPicksFromFiftyTimesteps) {
  EXPECT_THAT(timesteps(made(stable_diffusion(), "lcm", 4)), ElementsAre(999, 759, 499, 259, -1));
  EXPECT_THAT([] { made(stable_diffusion(), "lcm", 51); },
              ThrowsMessage<std::invalid_argument>(
                  StrEq("lcm picks from the 50 timesteps of the distillation; use at most 50 steps")));
}

// ---- flow -------------------------------------------------------------------------------------------------------------

TEST(Schedule, OfAFlowModelAsksAtAThousandTimesSigma) {
  for (const ScheduleRule& rule : schedules()) {
    if (rule.name.starts_with("ays")) continue;
    const Schedule schedule = make_schedule(flow(3), rule, {.steps = 7});
    EXPECT_NO_THROW(check_levels(schedule)) << rule.name;
    for (const NoiseLevel& level : schedule.levels) {
      EXPECT_EQ(level.alpha, 1 - level.sigma);
      EXPECT_EQ(level.timestep.value_or(0), 1000 * level.sigma);
    }
    if (rule.name != "ddim_uniform" && !rule.name.starts_with("leading") && rule.name != "laplace") {
      EXPECT_NEAR(schedule.levels[0].sigma, 1, 1e-12) << rule.name;
    }
  }
}

// Esser et al. 2024: u = 1, 3/4, 1/2, 1/4 with shift 3.
TEST(Schedule, OfAFlowModelIsShiftedTowardsNoise) {
  const Schedule schedule = made(flow(3), "trailing", 4);
  const double wanted[] = {1, 0.9, 0.75, 0.5, 0};
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(schedule.levels[i].sigma, wanted[i], 1e-12);
}

// ---- the user's own ---------------------------------------------------------------------------------------------------

TEST(Schedule, OfTheUsersOwnNumbersHasThem) {
  const TrainingNoise noise = stable_diffusion();
  const Schedule by_timestep = schedule_of_timesteps(noise, {999, 500.5, 1});
  EXPECT_THAT(timesteps(by_timestep), ElementsAre(999, 500.5, 1, -1));
  EXPECT_EQ(by_timestep.levels[0], noise.level(999));
  EXPECT_NEAR(std::log(noise_ratio(by_timestep.levels[1])),
              (std::log(noise_ratio(noise.level(500))) + std::log(noise_ratio(noise.level(501)))) / 2, 1e-12);
  EXPECT_EQ(schedule_of_timesteps(noise, {999}, RunEnd::final_alpha).levels[1].alpha,
            std::sqrt(noise.final_alpha_cumprod));

  const Schedule by_sigma = schedule_of_sigmas(noise, {14.6, 1, 0});
  EXPECT_NEAR(noise_ratio(by_sigma.levels[0]), 14.6, 1e-9);
  EXPECT_NEAR(noise_ratio(by_sigma.levels[1]), 1, 1e-12);
  EXPECT_EQ(by_sigma.levels[2], (NoiseLevel{std::nullopt, 1, 0}));
}

TEST(Schedule, OfLevelsThatTheModelCantBeAskedAtIsRefused) {
  const TrainingNoise noise = stable_diffusion();
  const auto said = [&](const Schedule& schedule) -> std::string {
    try {
      schedule_of_levels(noise, schedule);
      return "";
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
  };
  const NoiseLevel noisy = noise.level(900), middle = noise.level(500), clean{std::nullopt, 1, 0};
  EXPECT_EQ(said({{noisy, middle, clean}, 1}), "");
  EXPECT_EQ(schedule_of_levels(noise, {{noisy, clean}, 1}).alphas_cumprod, noise.alphas_cumprod);
  EXPECT_EQ(said({{middle, noisy, clean}, 1}),
            "noise levels do not fall: sigma 0.992899 at level 1, after 0.850686 at level 0");
  EXPECT_EQ(said({{noisy, clean, clean}, 1}), "level 1 has no timestep, but the network is asked there");
  EXPECT_EQ(said({{noisy, {0.0, 1, 0}, clean}, 1}), "level 1 has sigma 0, which only the last may have");
  EXPECT_EQ(said({{{1000.0, 0.1, 0.995}, clean}, 1}),
            "level 0 has timestep 1000: the model was trained on timesteps 0 to 999");
  EXPECT_EQ(said({{{999.0, 1, 14.6}, clean}, 1}),
            "level 0 has alpha 1 and sigma 14.6, the sum of whose squares should be 1");
  EXPECT_EQ(said({{noisy, clean}, 0}), "init_scale is 0, expected a number above 0");
}

TEST(Schedule, RefusesNumbersThatAreNotTheModels) {
  const TrainingNoise noise = stable_diffusion();
  for (const int64_t steps : {int64_t{0}, int64_t{-5}, int64_t{1001}}) {
    EXPECT_THAT([&] { made(noise, "trailing", steps); },
                ThrowsMessage<std::invalid_argument>(StrEq("the model has 1000 timesteps; expected 1 to 1000")));
  }
  const auto refusal = [&](const std::function<void()>& make, const std::string& text) {
    EXPECT_THAT(make, ThrowsMessage<std::invalid_argument>(StrEq(text)));
  };
  refusal([&] { make_schedule(noise, schedule_named("karras"), {.steps = 10, .sigma_min = 0.0}); },
          "0: the model was trained at sigmas from 0.0291672 to 14.6146");
  refusal([&] { made(noise, "normal", 1, RunEnd::last_listed); },
          "the run would end at its only level; use at least 2 steps");
  refusal([&] { schedule_of_timesteps(noise, {1000, 1}); }, "1000: the model was trained on timesteps 0 to 999");
  refusal([&] { schedule_of_timesteps(noise, {10, 10}); }, "10 after 10: expected numbers that fall");
  refusal([&] { schedule_of_sigmas(noise, {14, 1}); },
          "ends at 1, which would leave noise in the picture; expected 0 at the end");
  refusal([&] { schedule_of_sigmas(noise, {14.9, 0}); },
          "14.9: the model was trained at sigmas from 0.0291672 to 14.6146");
  refusal([&] { schedule_of_sigmas(noise, {0}); }, "expected at least 2 numbers, the last 0");
}

// ---- the table --------------------------------------------------------------------------------------------------------

// Of leading with offset 1, 999 steps begin at 999; 501 to 998 would begin below it, and 1000 outside the table.
TEST(Schedule, OfTooManyStepsSaysWhichNumbersWork) {
  const auto refusal = [](int64_t offset, const char* name, ScheduleRequest request) {
    TrainingNoise noise = stable_diffusion();
    noise.steps_offset = offset;
    request.steps = 1001;
    try {
      make_schedule(noise, schedule_named(name), request);
      return std::string("none");
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
  };
  const std::string asked = "the model has 1000 timesteps; expected ";
  EXPECT_EQ(refusal(1, "leading", {}), asked + "1 to 500 or 999");
  EXPECT_EQ(refusal(0, "leading", {}), asked + "1 to 500 or 1000");
  EXPECT_EQ(refusal(1, "trailing", {}), asked + "1 to 1000");
  EXPECT_EQ(refusal(1, "lcm", {}), asked + "1 to 50");
  EXPECT_EQ(refusal(1, "normal", {.end = RunEnd::last_listed}), asked + "2 to 1000");
}

TEST(Schedules, HaveNamesOfTheirOwnAndSaySomething) {
  const auto names = all_names();
  EXPECT_EQ(std::set(names.begin(), names.end()).size(), names.size());
  std::set<std::string_view> elsewhere;
  for (const ScheduleRule& rule : schedules()) {
    EXPECT_FALSE(rule.about.empty() || rule.source.empty()) << rule.name;
    for (const auto& name : rule.aliases) EXPECT_TRUE(elsewhere.insert(name).second) << name;
  }
  EXPECT_THAT([] { schedule_named("karas"); },
              ThrowsMessage<std::invalid_argument>(StrEq("unknown schedule 'karas', did you mean 'karras'?")));
}

}  // namespace
}  // namespace steplapse
