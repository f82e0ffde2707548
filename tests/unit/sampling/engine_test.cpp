#include "steplapse/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "sampling/samplers/samplers.h"
#include "support/toy_denoiser.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StrEq;
using testing::ThrowsMessage;

constexpr double kFromAngle = 1.4, kToAngle = 0.1;

Tensor start_of(uint64_t seed) { return Noise(Rng::cpu, seed).draw({1, 2, 3, 3}); }
Trajectory ddim(uint64_t seed, int64_t steps) {
  return sampler_named("ddim").start(start_of(seed), circle(steps, kFromAngle, kToAngle), {}, {});
}

/// Adds what it is conditioned on, and notes how many rows each call had.
struct NotingDenoiser {
  std::shared_ptr<std::vector<int64_t>> rows = std::make_shared<std::vector<int64_t>>();

  Denoiser denoiser() const {
    return [rows = rows](const Tensor& x, const Tensor& angles, const std::vector<Tensor>& conditioning) {
      rows->push_back(x.size(0));
      Tensor answer = gaussian_denoiser(0.5)(x, angles, {});
      for (const Tensor& tensor : conditioning) answer = answer + tensor.view({-1, 1, 1, 1});
      return answer;
    };
  }
};

void rethrow(const Outcome& outcome) {
  if (outcome.error) std::rethrow_exception(outcome.error);
}

TEST(Engine, TrajectoriesTogetherGetWhatEachGetsAlone) {
  NotingDenoiser network;
  Engine engine(network.denoiser(), PredictionType::epsilon);
  const std::vector<int64_t> steps{3, 5, 5, 8};
  for (size_t i = 0; i < steps.size(); ++i) engine.add(ddim(i, steps[i]), {});
  const auto together = engine.run();
  for (size_t i = 0; i < steps.size(); ++i) {
    const Outcome alone = run_alone(ddim(i, steps[i]), gaussian_denoiser(0.5));
    EXPECT_TRUE(at::equal(together[i].latents, alone.latents)) << i;
  }
  EXPECT_THAT(*network.rows, ElementsAre(4, 4, 4, 3, 3, 1, 1, 1));
}

TEST(Engine, AsksNoMoreAtOnceThanAllowed) {
  NotingDenoiser network;
  Engine engine(network.denoiser(), PredictionType::epsilon, 2);
  for (uint64_t i = 0; i < 3; ++i) engine.add(ddim(i, 1), {});
  for (const Outcome& outcome : engine.run()) EXPECT_TRUE(outcome.latents.defined());
  EXPECT_THAT(*network.rows, ElementsAre(2, 1));
}

TEST(Engine, KeepsShapesApart) {
  Engine engine(gaussian_denoiser(1), PredictionType::epsilon);
  engine.add(ddim(1, 2), {});
  engine.add(sampler_named("ddim").start(at::ones({1, 2, 6, 6}), circle(2, kFromAngle, kToAngle), {}, {}), {});
  const auto outcomes = engine.run();
  EXPECT_EQ(outcomes[0].latents.size(3), 3);
  EXPECT_EQ(outcomes[1].latents.size(3), 6);
}

Guidance guidance(double scale) { return {{at::full({1, 1}, 0.5)}, {at::full({1, 1}, 0.25)}, {scale}}; }

TEST(Engine, GuidanceIsUncondPlusScaleTimesTheDifference) {
  // The toy answer is linear in the conditioning: guidance from 0.25 towards 0.5 by 3 is conditioning on 1.
  for (const double scale : {0.0, 0.5, 1.0, 3.0}) {
    NotingDenoiser network;
    Engine guided(network.denoiser(), PredictionType::epsilon);
    guided.add(ddim(1, 4), guidance(scale));
    Engine plain(network.denoiser(), PredictionType::epsilon);
    plain.add(ddim(1, 4), {{at::full({1, 1}, 0.25 + scale * 0.25)}, {}, {}});
    EXPECT_TRUE(at::allclose(guided.run()[0].latents, plain.run()[0].latents, 1e-5, 1e-5)) << scale;
  }
}

TEST(Engine, GuidanceMayChangeOnTheWay) {
  NotingDenoiser network;
  Engine engine(network.denoiser(), PredictionType::epsilon);
  engine.add_by_steps(ddim(1, 5), {{1, guidance(1)}, {3, guidance(3)}, {5, guidance(0)}});
  // Conditioning of 0.5, then from 0.25 towards it by 3, then 0.25.
  Engine plain(NotingDenoiser().denoiser(), PredictionType::epsilon);
  const auto told = [](double value) { return Guidance{{at::full({1, 1}, value)}, {}, {}}; };
  plain.add_by_steps(ddim(1, 5), {{1, told(0.5)}, {3, told(1)}, {5, told(0.25)}});
  EXPECT_TRUE(at::allclose(engine.run()[0].latents, plain.run()[0].latents, 1e-5, 1e-5));
  EXPECT_THAT(*network.rows, ElementsAre(1, 1, 2, 2, 1));
}

std::vector<int64_t> rows_of(const GuidanceRule& rule) {
  NotingDenoiser network;
  Engine engine(network.denoiser(), PredictionType::epsilon);
  Guidance part = guidance(3);
  part.rule = rule;
  engine.add(ddim(1, 5), part);
  rethrow(engine.run()[0]);
  return *network.rows;
}

TEST(Engine, AsksTheBranchesThatTheScaleNeeds) {
  for (const double scale : {0.0, 0.5, 1.0, 1.5}) {
    const GuidanceRule rule{.scale = scale};
    const bool one = scale == 0 || scale == 1;
    EXPECT_THAT(rows_of(rule), testing::Each(one ? 1 : 2)) << scale;
    EXPECT_EQ(rule.most_rows(), one ? 1 : 2) << scale;
  }
  EXPECT_THAT(rows_of({.scale = 0, .rescale = 0.5}), testing::Each(2));  // towards the deviation of cond
}

TEST(Engine, SaysThatALoggedAnswerIsMissing) {
  struct Half : Watcher {
    std::optional<Answer> recall(const Question& question) override { return Answer{.cond = question.x, .uncond = {}}; }
  } half;
  Engine engine(gaussian_denoiser(1), PredictionType::epsilon);
  engine.add(ddim(1, 2), guidance(3), &half);
  const Outcome outcome = engine.run()[0];
  EXPECT_THAT([&] { rethrow(outcome); },
              ThrowsMessage<std::runtime_error>(StrEq("step 1: the answer to one of the prompts is missing")));
}

TEST(Engine, AsksUncondOnlyInTheIntervalOfSteps) {
  EXPECT_THAT(rows_of({.scale = 0, .first_step = 2, .last_step = 4}), ElementsAre(1, 1, 1, 1, 1));
  EXPECT_THAT(rows_of({.scale = 3, .first_step = 2, .last_step = 4}), ElementsAre(1, 2, 2, 2, 1));
  EXPECT_THAT(rows_of({.scale = 1, .first_step = 2, .last_step = 4}), ElementsAre(1, 1, 1, 1, 1));
}

// Above the low end and up to the high one.
TEST(Engine, AsksUncondOnlyInTheIntervalOfSigmas) {
  const auto& levels = circle(5, kFromAngle, kToAngle).levels;
  EXPECT_THAT(rows_of({.scale = 3, .sigma_low = noise_ratio(levels[3]), .sigma_high = noise_ratio(levels[1])}),
              ElementsAre(1, 2, 2, 1, 1));
}

// A run that is guided in all steps but outside the interval is what it would be without guidance.
TEST(Engine, OutsideTheIntervalTheAnswerIsCond) {
  NotingDenoiser network;
  Engine engine(network.denoiser(), PredictionType::epsilon);
  Guidance nowhere = guidance(3);
  nowhere.rule.first_step = 5;
  engine.add(ddim(1, 4), nowhere);
  engine.add(ddim(1, 4), {{at::full({1, 1}, 0.5)}, {}, {}});
  const auto outcomes = engine.run();
  EXPECT_TRUE(at::equal(outcomes[0].latents, outcomes[1].latents));
}

TEST(Engine, StepsWithAndWithoutGuidanceShareACall) {
  const auto late = [] {
    Guidance late = guidance(3);
    late.rule.first_step = 2;
    return late;
  };
  NotingDenoiser network;
  Engine engine(network.denoiser(), PredictionType::epsilon);
  engine.add(ddim(1, 2), guidance(3));
  engine.add(ddim(2, 2), late());
  const auto together = engine.run();
  EXPECT_THAT(*network.rows, ElementsAre(3, 4));

  Engine alone(network.denoiser(), PredictionType::epsilon);
  alone.add(ddim(2, 2), late());
  EXPECT_TRUE(at::equal(together[1].latents, alone.run()[0].latents));
}

TEST(Engine, TrajectoriesAddedWhenOthersEndRunAsWell) {
  NotingDenoiser network;
  Engine engine(network.denoiser(), PredictionType::epsilon, 2);
  engine.add(ddim(0, 1), {});
  engine.add(ddim(1, 3), {});
  std::map<size_t, Tensor> ends;
  engine.run([&](size_t index, const Outcome& outcome) {
    ends[index] = outcome.latents;
    if (index > 0) return;
    EXPECT_EQ(engine.add(ddim(2, 4), {}), 2u);
  });
  EXPECT_THAT(*network.rows, ElementsAre(2, 2, 2, 1, 1));
  ASSERT_EQ(ends.size(), 3u);
  EXPECT_TRUE(at::equal(ends[2], run_alone(ddim(2, 4), gaussian_denoiser(0.5)).latents));
}

TEST(Engine, AsksWithHalfAsManyWhereMemoryDoesNotSuffice) {
  NotingDenoiser network;
  const auto small = [&](const Tensor& x, const Tensor& angles, const std::vector<Tensor>& conditioning) {
    if (x.size(0) > 3) throw std::bad_alloc();
    return network.denoiser()(x, angles, conditioning);
  };
  Engine engine(small, PredictionType::epsilon);
  for (uint64_t i = 0; i < 8; ++i) engine.add(ddim(i, 1), {});
  for (const Outcome& outcome : engine.run()) rethrow(outcome);
  EXPECT_THAT(*network.rows, ElementsAre(2, 2, 2, 2));
  EXPECT_EQ(engine.max_batch(), 2);
}

TEST(Engine, ARunThatAloneDoesNotFitSaysSo) {
  Engine engine([](auto&&...) -> Tensor { throw std::bad_alloc(); }, PredictionType::epsilon);
  engine.add(ddim(1, 1), {});
  engine.add(ddim(2, 1), {});
  for (const Outcome& outcome : engine.run()) EXPECT_THROW(rethrow(outcome), std::bad_alloc);
}

// Lin et al. 2023, eq. 15 and 16: at phi 1 the answer has the deviation that cond has, at 0 it is the guided one, between
// it is between.
TEST(Guidance, RescaledHasTheDeviationOfCond) {
  const Tensor cond = start_of(1), uncond = start_of(2);
  const Tensor guided = GuidanceRule{.scale = 7.5}.combined(cond, uncond);
  const Tensor rescaled = GuidanceRule{.scale = 7.5, .rescale = 1}.combined(cond, uncond);
  EXPECT_NEAR(rescaled.std().item<double>(), cond.std().item<double>(), 1e-6);
  const Tensor half = GuidanceRule{.scale = 7.5, .rescale = 0.5}.combined(cond, uncond);
  EXPECT_TRUE(at::allclose(half, (guided + rescaled) / 2, 1e-5, 1e-6));
}

TEST(Engine, AWatcherSeesEveryStepAndMayEndTheRunWithX0) {
  struct Stopper : Watcher {
    Verdict stepped(const Step& step) override {
      steps.push_back(step.number);
      x0 = step.x0;
      return {step.number == 3, {}};
    }
    std::vector<int64_t> steps;
    Tensor x0;
  } watcher;
  const Outcome outcome = run_alone(ddim(1, 8), gaussian_denoiser(1), &watcher);
  EXPECT_TRUE(outcome.stopped);
  EXPECT_THAT(watcher.steps, ElementsAre(1, 2, 3));
  EXPECT_TRUE(at::equal(outcome.latents, watcher.x0));
}

TEST(Engine, AWatcherMayChangeTheLatents) {
  struct Doubler : Watcher {
    Verdict stepped(const Step& step) override { return {false, step.number == 1 ? 2 * step.x : Tensor()}; }
  } doubler;
  // With a linear denoiser, doubling after any step doubles the end.
  const Outcome changed = run_alone(ddim(1, 8), gaussian_denoiser(1), &doubler);
  const Outcome plain = run_alone(ddim(1, 8), gaussian_denoiser(1));
  EXPECT_TRUE(at::allclose(changed.latents, 2 * plain.latents, 1e-5, 1e-6));
}

TEST(Engine, RecalledAnswersStandForTheNetwork) {
  struct Memory : Watcher {
    std::map<int64_t, Answer> answers;
    std::optional<Answer> recall(const Question& question) override {
      const auto found = answers.find(question.call);
      return found == answers.end() ? std::nullopt : std::optional(found->second);
    }
    void answered(const Question& question, const Answer& answer) override { answers[question.call] = answer; }
  } memory;
  const Outcome first = run_alone(ddim(1, 5), gaussian_denoiser(1), &memory);
  memory.answers.erase(5);  // the network is asked again where the memory ends
  int64_t asked = 0;
  const auto counting = [&](const auto&... question) {
    ++asked;
    return gaussian_denoiser(1)(question...);
  };
  const Outcome again = run_alone(ddim(1, 5), counting, &memory);
  EXPECT_EQ(asked, 1);
  EXPECT_TRUE(at::equal(first.latents, again.latents));
}

TEST(Engine, OneTrajectorysErrorEndsThatOneOnly) {
  struct Thrower : Watcher {
    Verdict stepped(const Step&) override { throw std::runtime_error("no room for the frame"); }
  } thrower;
  Engine engine(gaussian_denoiser(1), PredictionType::epsilon);
  engine.add(ddim(1, 3), {}, &thrower);
  engine.add(ddim(2, 3), {});
  const auto outcomes = engine.run();
  EXPECT_THAT([&] { rethrow(outcomes[0]); }, ThrowsMessage<std::runtime_error>(StrEq("no room for the frame")));
  EXPECT_TRUE(at::equal(outcomes[1].latents, run_alone(ddim(2, 3), gaussian_denoiser(1)).latents));
}

TEST(Engine, NamesTheStepAtWhichTheNetworkAnswersNan) {
  int64_t calls = 0;
  const auto fails_late = [&](const Tensor& x, auto&&...) {
    return ++calls == 3 ? at::full_like(x, std::numeric_limits<float>::quiet_NaN()) : at::zeros_like(x);
  };
  const Outcome outcome = run_alone(ddim(1, 4), fails_late);
  EXPECT_THAT([&] { rethrow(outcome); },
              ThrowsMessage<std::runtime_error>(HasSubstr("step 3: the denoiser answered NaN")));
}

// Sums over an answer, as guidance rescale takes them, then have the bits that they have over a logged one.
TEST(Engine, TellsAnswersThatAreContiguousWhateverTheNetworksLayout) {
  struct Looker : Watcher {
    void answered(const Question&, const Answer& answer) override {
      EXPECT_TRUE(answer.cond.is_contiguous());
      ++answers;
    }
    int64_t answers = 0;
  } looker;
  const auto channels_last = [](const Tensor& x, auto&&...) { return x.contiguous(at::MemoryFormat::ChannelsLast); };
  Engine engine(channels_last, PredictionType::epsilon);
  engine.add(ddim(1, 2), {}, &looker);
  engine.run();
  EXPECT_EQ(looker.answers, 2);
}

// So a log has no answer that would end its run again.
TEST(Engine, TellsAWatcherOfNoAnswerThatIsNotFinite) {
  struct Counter : Watcher {
    void answered(const Question& question, const Answer&) override { calls = question.call; }
    int64_t calls = 0;
  } counter;
  const auto fails_late = [&](const Tensor& x, auto&&...) {
    return counter.calls == 2 ? at::full_like(x, std::numeric_limits<float>::infinity()) : at::zeros_like(x);
  };
  Engine engine(fails_late, PredictionType::epsilon);
  engine.add(ddim(1, 4), {}, &counter);
  EXPECT_TRUE(engine.run().front().error);
  EXPECT_EQ(counter.calls, 2);
}

// ---- coroutines: GCC 12 destroys awaiters twice where they are written carelessly, so every place is tried --------

/// A tensor whose storage says when it is gone.
Tensor counted(int& alive) {
  ++alive;
  auto* data = new float[4]{1, 2, 3, 4};
  return at::from_blob(
      data, {1, 1, 2, 2},
      [&alive, data](void*) {
        --alive;
        delete[] data;
      },
      at::kFloat);
}

/// Answers a trajectory with counted tensors until it has stood still `stops` times, or to its end. Returns how often.
int advance(Trajectory& trajectory, int stops, int& alive) {
  trajectory.resume();
  int stood = 0;
  for (; !trajectory.finished() && ++stood < stops; trajectory.resume()) {
    if (trajectory.question()) trajectory.answer({counted(alive), counted(alive)});
    if (trajectory.step()) trajectory.continue_with(counted(alive));
  }
  return stood;
}

/// For those that restart, as few steps as they do it in.
Trajectory any_sampler(const Sampler& sampler, double eta, int& alive) {
  Schedule schedule = circle(sampler.picks_levels ? 20 : 3, kFromAngle, kToAngle);
  schedule.levels.back() = {std::nullopt, 1, 0};
  for (int t = 0; t <= 10; ++t) schedule.alphas_cumprod.push_back(std::pow(std::cos(0.15 * t), 2));
  return sampler.start(counted(alive), schedule, {.eta = eta}, Noise(Rng::cpu, 1));
}

constexpr int kToTheEnd = 1000;

TEST(EverySampler, LeavesNothingBehindWhereverItIsDestroyedOrThrownAt) {
  for (const Sampler& sampler : samplers()) {
    for (const double eta : {0.0, 1.0}) {
      int alive = 0, all_stops = 0;
      {
        Trajectory trajectory = any_sampler(sampler, eta, alive);
        all_stops = advance(trajectory, kToTheEnd, alive);
        ASSERT_TRUE(trajectory.finished()) << sampler.name;
      }
      ASSERT_GT(all_stops, 3);
      for (int stops = 1; stops <= all_stops; ++stops) {
        for (const bool thrown_at : {false, true}) {
          {
            Trajectory trajectory = any_sampler(sampler, eta, alive);
            advance(trajectory, stops, alive);
            ASSERT_FALSE(trajectory.finished());
            if (thrown_at) {
              EXPECT_THROW(trajectory.fail(std::make_exception_ptr(std::runtime_error("stop"))), std::runtime_error);
            }
          }
          ASSERT_EQ(alive, 0) << sampler.name << ", eta " << eta << ", stop " << stops << ", thrown at " << thrown_at;
        }
      }
    }
  }
}

TEST(EverySampler, EndsAfterItsLastStep) {
  for (const Sampler& sampler : samplers()) {
    int alive = 0;
    {
      Trajectory trajectory = any_sampler(sampler, 0, alive);
      advance(trajectory, kToTheEnd, alive);
      EXPECT_TRUE(trajectory.finished()) << sampler.name;
      EXPECT_EQ(trajectory.result().numel(), 4);
    }
    EXPECT_EQ(alive, 0) << sampler.name;
  }
}

}  // namespace
}  // namespace steplapse
