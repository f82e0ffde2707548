#include "plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/aten.h"
#include "plan/plan_levels.h"
#include "steplapse/error.h"
#include "support/toy_manifest.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;
using testing::StartsWith;
using testing::StrEq;
using testing::ThrowsMessage;

Settings seeded(uint64_t seed = 7) {
  Settings settings;
  settings.prompt = "red apple";
  settings.seed = seed;
  return settings;
}

/// Seeded settings with this change.
template <typename Change>
Settings with(Change change) {
  Settings settings = seeded();
  change(settings);
  return settings;
}

// ---- what is settled ----------------------------------------------------------------------------------------------

TEST(Plan, WhatIsNotSaidIsTheBundles) {
  const Plan plan = make_plan(toy_manifest(), seeded());
  EXPECT_EQ(plan.prompt, "red apple");
  EXPECT_EQ(plan.negative_prompt, std::nullopt);
  EXPECT_EQ(plan.width, 16);
  EXPECT_EQ(plan.height, 16);
  EXPECT_EQ(plan.schedule, "trailing");
  EXPECT_EQ(plan.steps(), 30);
  EXPECT_EQ(plan.recipe.schedule.levels.front().timestep, 999);
  EXPECT_EQ(plan.recipe.schedule.levels.back(), (NoiseLevel{std::nullopt, 1, 0}));
  EXPECT_EQ(plan.recipe.sampler, "ddim");
  EXPECT_EQ(plan.recipe.options, (SamplerOptions{.eta = 0, .clip_sample_range = 2}));
  EXPECT_EQ(plan.recipe.prediction_type, PredictionType::v_prediction);
  EXPECT_EQ(plan.recipe.guidance.scale, 5);
  EXPECT_EQ(plan.recipe.rng, Rng::cpu);
  EXPECT_EQ(plan.recipe.seed, 7u);
  EXPECT_THAT(plan.warnings, IsEmpty());
}

TEST(Plan, WhatIsSaidStands) {
  const Plan plan = make_plan(toy_manifest(), with([](Settings& settings) {
                                settings.negative_prompt = "blue";
                                settings.steps = 10;
                                settings.schedule = "leading";
                                settings.guidance_scale = 0;
                                settings.eta = 0.5;
                                settings.size = Manifest::Size{24, 16};
                                settings.rng = Rng::philox;
                              }));
  EXPECT_THAT(plan.negative_prompt, Optional(StrEq("blue")));
  EXPECT_EQ(plan.steps(), 10);
  EXPECT_EQ(plan.schedule, "leading");
  EXPECT_EQ(plan.recipe.schedule.levels.front().timestep, 901);
  EXPECT_EQ(plan.recipe.guidance.scale, 0);
  EXPECT_EQ(plan.recipe.options.eta, 0.5);
  EXPECT_EQ(plan.width, 24);
  EXPECT_EQ(plan.height, 16);
  EXPECT_EQ(plan.recipe.rng, Rng::philox);
}

TEST(Plan, IsMadeAgainFromItsFacts) {
  for (const char* sampler : {"ddim", "dpm_fast", "dpm_adaptive"}) {
    for (const auto& negative : {std::optional<std::string>(), std::optional<std::string>("")}) {
      const Plan plan = make_plan(toy_manifest(), with([&](Settings& s) {
                                    s.prompt = "a (red:1.2) apple";
                                    s.negative_prompt = negative;
                                    s.sampler = sampler;
                                    s.steps = 10;
                                  }));
      const Plan again = plan_of(plan);
      EXPECT_EQ(settings_json(again), settings_json(plan));
      EXPECT_EQ(again.prompts, plan.prompts);
      EXPECT_EQ(again.made_steps, plan.made_steps) << sampler;
    }
  }
}

TEST(Plan, AnEmptyNegativePromptIsNotNone) {
  EXPECT_THAT(make_plan(toy_manifest(), with([](Settings& s) { s.negative_prompt = ""; })).negative_prompt,
              Optional(StrEq("")));
}

TEST(Plan, AnEmptyPromptIsAllowed) {
  EXPECT_EQ(make_plan(toy_manifest(), with([](Settings& s) { s.prompt = ""; })).prompt, "");
}

TEST(Plan, PromptsAreComposed) {
  const Plan plan = make_plan(toy_manifest(), with([](Settings& settings) {
                                settings.prompt = "cafe\u0301";
                                settings.negative_prompt = "A\u030a";
                              }));
  EXPECT_EQ(plan.prompt, "caf\u00e9");
  EXPECT_THAT(plan.negative_prompt, Optional(StrEq("\u00c5")));
}

TEST(Plan, PromptsAreKeptAsTheyWereWritten) {
  const Plan plan = make_plan(toy_manifest(), with([](Settings& s) { s.prompt = "(red:1.4) [apple"; }));
  EXPECT_EQ(plan.prompt, "(red:1.4) [apple");
  EXPECT_THAT(plan.warnings,
              ElementsAre("`prompt`, column 11: '[' has no partner and is text; where it is meant so, write '\\['"));
  const Plan plain = make_plan(toy_manifest(), with([](Settings& s) {
                                 s.prompt = "(red:1.4) [apple";
                                 s.prompt_syntax = PromptSyntax::plain;
                               }));
  EXPECT_THAT(plain.warnings, IsEmpty());
}

// ---- guidance ----------------------------------------------------------------------------------------------------

TEST(Plan, WarnsOfAGuidanceScaleBelow1) {
  const auto warnings = [](double scale, const char* negative) {
    return make_plan(toy_manifest(), with([&](Settings& s) { s.guidance_scale = scale, s.negative_prompt = negative; }))
        .warnings;
  };
  EXPECT_THAT(warnings(0, ""), ElementsAre("`guidance_scale` 0 ignores the prompt; what diffusers calls 0 is 1 here"));
  EXPECT_THAT(warnings(0, "blue"),
              ElementsAre("`guidance_scale` 0 ignores the prompt and draws the negative prompt; what "
                          "diffusers calls 0 is 1 here"));
  EXPECT_THAT(warnings(0.5, "blue"),
              ElementsAre("`guidance_scale` 0.5 lies between no prompt, 0, and the prompt without "
                          "guidance, 1; what diffusers calls 0.5 is 1 here"));
  EXPECT_THAT(warnings(1, ""), IsEmpty());
  EXPECT_THAT(warnings(1, "blue"),
              ElementsAre("`negative_prompt` has no effect at guidance scale 1; raise `guidance_scale`"));
  EXPECT_THAT(warnings(1.5, "blue"), IsEmpty());
  Manifest distilled = toy_manifest();
  distilled.defaults.guidance_scale = 0;
  EXPECT_THAT(make_plan(distilled, seeded()).warnings,
              ElementsAre("the bundle's guidance scale 0 ignores the prompt; what diffusers calls 0 is 1 here"));
}

TEST(Plan, WarnsOfUnknownWordsOfBothPromptsWithoutTheSyntax) {
  const std::vector<TaughtPrompt> taught{{"apple", {}}};
  const auto warnings = [&](double scale) {
    return unknown_warnings(taught, make_plan(toy_manifest(), with([&](Settings& s) {
                                                s.prompt = "(pear:1.4)", s.negative_prompt = "[plum]",
                                                s.guidance_scale = scale;
                                              }))
                                        .prompts);
  };
  EXPECT_THAT(warnings(2), ElementsAre(StartsWith("the model was not taught any word of 'pear';"),
                                       StartsWith("the model was not taught any word of the negative prompt 'plum';")));
  EXPECT_THAT(warnings(0), testing::SizeIs(2));
  EXPECT_THAT(warnings(1),
              ElementsAre(StartsWith("the model was not taught any word of 'pear';")));  // the other is not asked
}

// ---- levels that nobody named -------------------------------------------------------------------------------------

/// Spaced as most bundles are.
Manifest leading() {
  Manifest manifest = toy_manifest();
  manifest.training_noise.timestep_spacing = "leading";
  return manifest;
}

std::string schedule_of(const Manifest& manifest, const std::string& sampler,
                        const std::optional<std::string>& schedule = {}) {
  const Plan plan = make_plan(manifest, with([&](Settings& s) { s.sampler = sampler, s.schedule = schedule; }));
  EXPECT_EQ(plan.usual_schedule, !schedule && plan.schedule != "leading" && sampler.find(':') == std::string::npos &&
                                     plan.schedule != manifest.training_noise.timestep_spacing)
      << sampler;
  return plan.schedule;
}

TEST(Plan, ASamplerBringsItsUsualLevels) {
  EXPECT_EQ(schedule_of(leading(), "dpmpp_2m"), "karras");
  EXPECT_EQ(schedule_of(leading(), "dpmpp_3m_sde"), "exponential");
  EXPECT_EQ(schedule_of(leading(), "ddim"), "leading");
  EXPECT_EQ(schedule_of(leading(), "dpmpp_2m", "bundle"), "leading");
  EXPECT_EQ(schedule_of(leading(), "dpmpp_2m", "normal"), "normal");
  Manifest by_default = leading();
  by_default.defaults.sampler = "dpmpp_2m";
  EXPECT_EQ(make_plan(by_default, seeded()).schedule, "karras");
  EXPECT_EQ(make_plan(leading(), with([](Settings& s) { s.sampler = "dpmpp_2m", s.sigmas = {{4, 1, 0}}; })).schedule,
            "sigmas");
}

TEST(Plan, OtherToolsNamesKeepTheirToolsLevels) {
  EXPECT_EQ(schedule_of(leading(), "comfyui:dpmpp_2m"), "simple");
  EXPECT_EQ(schedule_of(leading(), "diffusers:DPMSolverMultistepScheduler"), "linspace_solver");
  EXPECT_EQ(schedule_of(leading(), "a1111:DPM++ 2M"), "karras");
}

TEST(Plan, ModelsTrainedForAnotherStartKeepTheirOwnLevels) {
  Manifest zero_snr = leading();
  zero_snr.training_noise.alphas_cumprod.back() = 0;
  EXPECT_EQ(schedule_of(zero_snr, "dpmpp_2m"), "leading");
  EXPECT_EQ(schedule_of(toy_manifest(), "dpmpp_2m"), "trailing");
  Manifest flow = toy_manifest();
  flow.training_noise = {};
  flow.training_noise.prediction_type = PredictionType::flow;
  flow.training_noise.timestep_spacing = "linspace";
  EXPECT_EQ(schedule_of(flow, "dpmpp_2m"), "linspace");
}

// ---- the start ----------------------------------------------------------------------------------------------------

TEST(Plan, RefusesLatentsThatTheLogHasNoRoomFor) {
  Manifest manifest = toy_manifest();
  manifest.allowed_sizes = Manifest::SizeRange{16, 1 << 20, 16};
  const auto planned = [&](int64_t side) {
    make_plan(manifest, with([&](Settings& settings) { settings.size = {side, side}; }), StartNoise::drawn_later);
  };
  planned(8192);
  EXPECT_THAT([&] { planned(1 << 20); },
              ThrowsMessage<UsageError>(StartsWith("`size` 1048576x1048576: its latents take ")));
}

TEST(Plan, StartsAtTheFirstDrawOfTheSeedsStream) {
  for (const Rng rng : {Rng::cpu, Rng::philox}) {
    const Recipe recipe = make_plan(toy_manifest(), with([&](Settings& settings) {
                                      settings.rng = rng;
                                      settings.size = Manifest::Size{24, 16};
                                    }))
                              .recipe;
    EXPECT_TRUE(at::equal(recipe.init_noise, Noise(rng, 7).draw({1, 4, 4, 6}))) << name_of(rng);
    EXPECT_FALSE(recipe.init_noise_given);
  }
}

TEST(Plan, WithoutASeedTakesARandomOneThatTheCpuGeneratorTellsApart) {
  Settings unseeded = seeded();
  unseeded.seed.reset();
  std::set<uint64_t> seeds;
  for (int i = 0; i < 20; ++i) {
    const Plan plan = make_plan(toy_manifest(), unseeded);
    seeds.insert(plan.recipe.seed);
    EXPECT_LE(plan.recipe.seed, 0xffffffffu);
    EXPECT_TRUE(at::equal(plan.recipe.init_noise, Noise(Rng::cpu, plan.recipe.seed).draw({1, 4, 4, 4})));
  }
  EXPECT_GE(seeds.size(), 19u);  // two equal ones of 20: once in twenty million times
}

TEST(Plan, StartsAtTheLatentsGivenWhateverTheirDtypeAndStrides) {
  const Tensor given = at::randn({4, 4, 4, 1}, at::kDouble).permute({3, 0, 2, 1});
  const Recipe recipe = make_plan(toy_manifest(), with([&](Settings& settings) { settings.latents = given; })).recipe;
  EXPECT_TRUE(recipe.init_noise_given);
  EXPECT_EQ(recipe.init_noise.scalar_type(), at::kFloat);
  EXPECT_TRUE(recipe.init_noise.is_contiguous());
  EXPECT_TRUE(at::equal(recipe.init_noise, given.to(at::kFloat)));
}

TEST(Start, AsksFirstAboutTheNoiseAtItsScale) {
  Recipe recipe = make_plan(toy_manifest(), seeded()).recipe;
  recipe.schedule.init_scale = 3;
  Trajectory trajectory = start(recipe);
  trajectory.resume();
  ASSERT_TRUE(trajectory.question());
  EXPECT_TRUE(at::equal(trajectory.question()->x, 3 * recipe.init_noise));
  EXPECT_EQ(trajectory.question()->level, recipe.schedule.levels.front());
}

// The stream's next numbers, for a sampler that draws, come after the start where the start was drawn from it.
TEST(Start, GoesOnInTheStreamOfTheStart) {
  for (const bool given : {false, true}) {
    Recipe recipe = make_plan(toy_manifest(), with([](Settings& settings) { settings.eta = 1; })).recipe;
    recipe.init_noise_given = given;
    Noise stream(Rng::cpu, 7);
    if (!given) stream.like(recipe.init_noise);

    Trajectory trajectory = start(recipe);
    trajectory.resume();
    const Tensor zero = at::zeros_like(recipe.init_noise);
    trajectory.answer({zero, zero});
    trajectory.resume();
    ASSERT_TRUE(trajectory.step());
    // x0 and eps of zero leave the fresh noise alone: eq. 16 gives its scale.
    const NoiseLevel from = recipe.schedule.levels[0], to = recipe.schedule.levels[1];
    const double fresh = to.sigma / from.sigma * std::sqrt(1 - std::pow(from.alpha / to.alpha, 2));
    EXPECT_TRUE(at::allclose(trajectory.step()->x, fresh * stream.like(zero), 1e-6, 1e-7)) << given;
  }
}

// Of 128 numbers unit noise has an rms of 1 within 7 / sqrt(128) = 0.62.
TEST(Plan, WarnsOfLatentsThatAreNoUnitNoise) {
  const auto warnings = [](double rms) {
    Manifest manifest = toy_manifest();
    manifest.latent_channels = 8;
    return make_plan(manifest, with([&](Settings& s) { s.latents = at::full({1, 8, 4, 4}, rms); })).warnings;
  };
  EXPECT_THAT(warnings(1.6), IsEmpty());
  EXPECT_THAT(warnings(0.4), IsEmpty());
  EXPECT_THAT(warnings(14.6),
              ElementsAre("`latents`: 'latents' has rms 14.6 and does not look like unit noise, which has 0.381282 to "
                          "1.61872; give it as it is before a sampler scales it"));
  EXPECT_THAT(warnings(0.25),
              ElementsAre(StartsWith("`latents`: 'latents' has rms 0.25 and does not look like unit noise")));
}

// ---- warnings -----------------------------------------------------------------------------------------------------

TEST(Plan, WarnsOfBitsOfASeedThatTheCpuGeneratorLeavesOut) {
  EXPECT_THAT(make_plan(toy_manifest(), seeded(0xffffffff)).warnings, IsEmpty());
  EXPECT_THAT(make_plan(toy_manifest(), seeded(0x1'0000'0005)).warnings,
              ElementsAre("seed 4294967301 is beyond 32 bits: the cpu generator uses its low 32, 5"));
  EXPECT_THAT(make_plan(toy_manifest(), with([](Settings& settings) {
                          settings.seed = 0x1'0000'0005;
                          settings.rng = Rng::philox;
                        }))
                  .warnings,
              IsEmpty());
}

TEST(Plan, WarnsWhereTheStartWouldHaveLittleNoise) {
  EXPECT_THAT(
      make_plan(toy_manifest(), with([](Settings& settings) {
                  settings.steps = 1;
                  settings.schedule = "leading";
                }))
          .warnings,
      ElementsAre("`schedule` leading with 1 step starts at timestep 1 of 1000, where the network expects little "
                  "noise; `schedule` trailing starts at the noisiest"));
  EXPECT_THAT(make_plan(toy_manifest(), with([](Settings& settings) { settings.steps = 1; })).warnings, IsEmpty());
  EXPECT_THAT(make_plan(toy_manifest(), with([](Settings& settings) {
                          settings.steps = 2;  // at 501
                          settings.schedule = "leading";
                        }))
                  .warnings,
              IsEmpty());
}

// ---- what is refused ----------------------------------------------------------------------------------------------

template <typename Change>
void expect_refusal(Change change, const std::string& message) {
  EXPECT_THAT([&] { make_plan(toy_manifest(), with(change)); }, ThrowsMessage<UsageError>(StrEq(message)));
}

TEST(Plan, RefusesPromptsThatAreTooLongOrNoText) {
  EXPECT_NO_THROW(make_plan(toy_manifest(), with([](Settings& s) { s.prompt = std::string(100'000, 'a'); })));
  expect_refusal([](Settings& s) { s.prompt = std::string(1'000'000, 'a'); },
                 "`prompt`: 1000000 bytes, at most 100000 expected");
  expect_refusal([](Settings& s) { s.negative_prompt = std::string(100'001, 'a'); },
                 "`negative_prompt`: 100001 bytes, at most 100000 expected");
  expect_refusal([](Settings& s) { s.prompt = "caf\xe9"; }, "`prompt`: not valid UTF-8");
  expect_refusal([](Settings& s) { s.negative_prompt = "\xff"; }, "`negative_prompt`: not valid UTF-8");
}

TEST(Plan, RefusesSyntaxThatIsNoneInEitherPrompt) {
  expect_refusal([](Settings& s) { s.prompt = "(red:big)"; },
                 "`prompt`, column 6: 'big' after ':' in '(red:big)', expected a weight as in (word:1.2); for the text "
                 "itself write "
                 "'\\:', or `prompt_syntax` plain");
  expect_refusal(
      [](Settings& s) { s.negative_prompt = "[red|blue]"; },
      "`negative_prompt`, column 1: '[red|blue]' asks for alternating words, which steplapse does not do; for the text "
      "itself write '\\|', or `prompt_syntax` plain");
}

TEST(Plan, RefusesSchedulesThatTheModelCantRun) {
  expect_refusal([](Settings& s) { s.steps = 1001; }, "`steps` 1001: the model has 1000 timesteps; expected 1 to 1000");
  expect_refusal([](Settings& s) { s.steps = 0; }, "`steps` 0: the model has 1000 timesteps; expected 1 to 1000");
  expect_refusal(
      [](Settings& s) {
        s.steps = 600;
        s.schedule = "leading";
      },
      "`steps` 600: leading with 600 steps would start at timestep 600, not at the noisiest, 999; use at most 500 "
      "steps, or "
      "trailing or linspace");
}

TEST(Plan, RefusesASamplerThatIsNone) {
  expect_refusal([](Settings& s) { s.sampler = "dddim"; }, "unknown sampler 'dddim', did you mean 'ddim'?");
}

TEST(Plan, RefusesNumbersOutOfTheirRange) {
  for (const auto& [eta, text] : {std::pair(-0.1, "-0.1"), {1.1, "1.1"}, {std::nan(""), "nan"}}) {
    expect_refusal([eta = eta](Settings& s) { s.eta = eta; },
                   std::string("`eta` ") + text + ": expected a number from 0 to 1");
  }
  expect_refusal([](Settings& s) { s.guidance_scale = -1; }, "`guidance_scale` -1: expected a number of 0 or more");
  expect_refusal([](Settings& s) { s.guidance_scale = std::nan(""); },
                 "`guidance_scale` nan: expected a number of 0 or more");
  expect_refusal([](Settings& s) { s.guidance_scale = std::numeric_limits<double>::infinity(); },
                 "`guidance_scale` inf: expected a number of 0 or more");
}

/// A sampler that knows nothing but what is said here.
Sampler sampler_with(std::optional<double> eta, bool churns, bool fresh_noise) {
  return {
      .name = "plain", .label = "Plain", .start = nullptr, .eta = eta, .churns = churns, .fresh_noise = fresh_noise};
}

TEST(SamplerOptions, AreTheSamplersOwnWhereNotSaid) {
  EXPECT_EQ(planned_options(sampler_with(1, true, true), {}), (SamplerOptions{.eta = 1}));
  EXPECT_EQ(planned_options(sampler_with({}, false, false), {}), SamplerOptions{});
  Settings churned;
  churned.s_churn = 5;
  churned.s_tmin = 0.1;
  churned.s_tmax = 10;
  churned.s_noise = 1.003;
  EXPECT_EQ(planned_options(sampler_with({}, true, false), churned),
            (SamplerOptions{.s_churn = 5, .s_tmin = 0.1, .s_tmax = 10, .s_noise = 1.003}));
}

// A flag that would do nothing is a mistake somewhere.
TEST(SamplerOptions, ThatTheSamplerDoesNotKnowAreRefused) {
  const auto said = [](const Sampler& sampler, auto change) -> std::string {
    Settings settings;
    change(settings);
    try {
      planned_options(sampler, settings);
      return "";
    } catch (const UsageError& error) {
      return error.what();
    }
  };
  const Sampler plain = sampler_with({}, false, false), churning = sampler_with({}, true, false);
  EXPECT_THAT(said(plain, [](Settings& s) { s.eta = 0; }),
              StartsWith("`eta`: the sampler 'plain' knows no eta; those that do: ddim"));
  EXPECT_THAT(said(plain, [](Settings& s) { s.s_churn = 1; }),
              StartsWith("`s_churn`: the sampler 'plain' does not churn"));
  EXPECT_THAT(said(plain, [](Settings& s) { s.s_tmax = 1; }),
              StartsWith("`s_tmax`: the sampler 'plain' does not churn"));
  EXPECT_EQ(said(plain, [](Settings& s) { s.s_noise = 1; }), "`s_noise`: the sampler 'plain' draws no fresh noise");
  EXPECT_EQ(said(churning, [](Settings& s) { s.s_noise = 1; }),
            "`s_noise`: the sampler 'plain' draws no fresh noise without `s_churn`");
  EXPECT_EQ(said(sampler_with(0, false, false), [](Settings& s) { s.s_noise = 1; }),
            "`s_noise`: the sampler 'plain' draws no fresh noise with `eta` 0");
  EXPECT_EQ(said(churning, [](Settings& s) { s.s_tmin = 1; }), "`s_tmin`: has no effect without `s_churn`");
  EXPECT_EQ(said(churning, [](Settings& s) { s.s_churn = -1; }), "`s_churn` -1: expected a number of 0 or more");
  EXPECT_EQ(said(churning,
                 [](Settings& s) {
                   s.s_churn = 1;
                   s.s_tmin = 2;
                   s.s_tmax = 1;
                 }),
            "`s_tmin` 2: above `s_tmax` 1");
}

TEST(Plan, RefusesASizeThatTheModelDoesNotMake) {
  expect_refusal([](Settings& s) { s.size = Manifest::Size{16, 24}; },
                 "`size` 16x24: the model 'toy' makes 16x16, 24x16");
  Manifest ranged = toy_manifest();
  ranged.allowed_sizes = Manifest::SizeRange{16, 64, 8};
  for (const Manifest::Size size : {Manifest::Size{12, 16}, {16, 72}, {20, 16}, {16, 8}}) {
    EXPECT_THAT(
        [&] { make_plan(ranged, with([&](Settings& s) { s.size = size; })); },
        ThrowsMessage<UsageError>(StrEq("`size` " + std::to_string(size.width) + "x" + std::to_string(size.height) +
                                        ": the model 'toy' makes sides from 16 to 64, multiples of 8")));
  }
  EXPECT_NO_THROW(make_plan(ranged, with([](Settings& s) { s.size = Manifest::Size{64, 24}; })));
}

TEST(Plan, RefusesLatentsOfAnotherShapeOrThatAreNotFinite) {
  expect_refusal([](Settings& s) { s.latents = at::zeros({1, 4, 8, 8}); },
                 "`latents`: 'latents' is [1, 4, 8, 8], this model and size want [1, 4, 4, 4]");
  expect_refusal([](Settings& s) { s.latents = at::zeros({4, 4, 4}); },
                 "`latents`: 'latents' is [4, 4, 4], this model and size want [1, 4, 4, 4]");
  expect_refusal([](Settings& s) { s.latents = at::full({1, 4, 4, 4}, std::nan("")); },
                 "`latents`: 'latents' holds numbers that are not finite");
  // Finite as it came, but not in float32.
  expect_refusal([](Settings& s) { s.latents = at::full({1, 4, 4, 4}, 1e300, at::kDouble); },
                 "`latents`: 'latents' holds numbers that are not finite");
}

}  // namespace
}  // namespace steplapse
