#include "sampling/answer_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "steplapse/engine.h"
#include "support/toy_denoiser.h"

namespace steplapse {
namespace {

using testing::ElementsAre;

constexpr size_t kPlenty = 1 << 20;

TEST(AnswerCache, DropsWhatNobodyAskedForTheLongest) {
  AnswerCache cache(3 * (2 + 4) + 1);  // three keys of one letter, each with a number
  for (const char* key : {"a", "b", "c"}) cache.keep(key, at::ones({1}));
  EXPECT_TRUE(cache.find("a"));
  cache.keep("d", at::ones({1}));
  EXPECT_TRUE(cache.has("a"));
  EXPECT_FALSE(cache.has("b"));
  EXPECT_TRUE(cache.has("d"));
}

TEST(AnswerCache, KeepsNothingLargerThanItself) {
  AnswerCache cache(8);
  cache.keep("a", at::ones({100}));
  EXPECT_FALSE(cache.has("a"));
}

TEST(AnswerCache, KeysTellShapesAndBitsApart) {
  EXPECT_EQ(key_of(at::ones({2, 3})), key_of(at::ones({3, 2}).t()));
  EXPECT_NE(key_of(at::ones({2, 3})), key_of(at::ones({3, 2})));
  EXPECT_NE(key_of(at::zeros({1})), key_of(-at::zeros({1})));
}

/// Answers by latents, level and conditioning, and counts the rows of each call.
struct CountedNetwork {
  std::vector<int64_t> calls;

  int64_t rows() const { return std::accumulate(calls.begin(), calls.end(), int64_t{0}); }
  Denoiser denoiser() {
    return [this](const Tensor& x, const Tensor& angles, const std::vector<Tensor>& conditioning) {
      calls.push_back(x.size(0));
      return gaussian_denoiser(0.5)(x, angles, {}) + 0.1 * conditioning.front().view({-1, 1, 1, 1});
    };
  }
};

/// A trajectory's questions, and those that cost nothing.
struct CallCounter : Watcher {
  int64_t calls = 0, shared = 0;
  void answered(const Question&, const Answer& answer) override {
    ++calls;
    shared += answer.milliseconds == 0;
  }
};

struct SharedRun {
  GuidanceRule rule = {.scale = 3};
  uint64_t seed = 1;
  int64_t steps = 4;
  double prompt = 1, negative_prompt = 0;
};

struct SharedResult {
  std::vector<Tensor> latents;
  std::vector<int64_t> shared;  // calls of each run
  int64_t calls = 0;
};

/// @param at_once  trajectories in one call; 1: whole questions are shared
SharedResult together(const std::vector<SharedRun>& runs, int64_t at_once, CountedNetwork& network,
                      size_t bytes = kPlenty) {
  Engine engine(network.denoiser(), PredictionType::epsilon, at_once);
  if (bytes > 0) engine.share_answers(bytes, at_once > 1);
  std::vector<CallCounter> counters(runs.size());
  for (size_t i = 0; i < runs.size(); ++i) {
    const SharedRun& run = runs[i];
    const Tensor start = Noise(Rng::cpu, run.seed).draw({1, 2, 3, 3});
    engine.add(sampler_named("ddim").start(start, circle(run.steps, 1.4, 0.1), {}, {}),
               {{at::full({1, 1}, run.prompt)}, {at::full({1, 1}, run.negative_prompt)}, run.rule}, &counters[i]);
  }
  SharedResult result;
  for (const Outcome& outcome : engine.run()) result.latents.push_back(outcome.latents);
  for (const CallCounter& counter : counters) {
    result.shared.push_back(counter.shared);
    result.calls += counter.calls;
  }
  return result;
}

std::vector<Tensor> each_alone(const std::vector<SharedRun>& runs) {
  std::vector<Tensor> latents;
  CountedNetwork network;
  for (const SharedRun& run : runs) latents.push_back(together({run}, 1, network, 0).latents.front());
  return latents;
}

TEST(SharedAnswers, EqualRunsAskOnce) {
  for (const int64_t at_once : {1, 3, 16}) {
    CountedNetwork network;
    const auto result = together(std::vector<SharedRun>(3), at_once, network);
    EXPECT_EQ(network.rows(), 8) << at_once;  // four steps of two rows
    EXPECT_THAT(result.shared, ElementsAre(0, 4, 4)) << at_once;
  }
}

TEST(SharedAnswers, AreEachRunsOwn) {
  const std::vector<SharedRun> runs{{.rule = {.scale = 3}},
                                    {.rule = {.scale = 3, .last_step = 2}},
                                    {.rule = {.scale = 5}},
                                    {.rule = {.scale = 3}, .seed = 2},
                                    {.rule = {.scale = 3}, .steps = 5},
                                    {.rule = {.scale = 3}, .prompt = 0.5},
                                    {.rule = {.scale = 1}, .prompt = 0.5},
                                    {.rule = {.scale = 0}}};
  const auto alone = each_alone(runs);
  for (const int64_t at_once : {1, 2, 16}) {
    CountedNetwork network;
    const auto result = together(runs, at_once, network);
    for (size_t i = 0; i < runs.size(); ++i)
      EXPECT_TRUE(at::equal(result.latents[i], alone[i])) << i << ", " << at_once;
  }
}

// Two steps are alike; after them one run is not guided, so its answers are the other's to other latents.
TEST(SharedAnswers, LeadingStepsAreAskedOnce) {
  const std::vector<SharedRun> runs{{.rule = {.scale = 3}}, {.rule = {.scale = 3, .last_step = 2}}};
  for (const int64_t at_once : {1, 16}) {
    CountedNetwork network;
    const auto result = together(runs, at_once, network);
    // By rows the third step's row for the prompt is known: the latents there are still equal.
    EXPECT_THAT(result.shared, ElementsAre(0, at_once == 1 ? 2 : 3)) << at_once;
    EXPECT_EQ(network.rows(), at_once == 1 ? 8 + 2 : 8 + 1) << at_once;
  }
}

TEST(SharedAnswers, OneOfTwoRowsMayBeKnown) {
  const std::vector<SharedRun> runs{{.steps = 1, .prompt = 1}, {.steps = 1, .prompt = 0.5}};
  CountedNetwork by_rows, whole;
  EXPECT_THAT(together(runs, 16, by_rows).shared, ElementsAre(0, 0));
  EXPECT_THAT(by_rows.calls, ElementsAre(3));  // the negative prompt is asked once
  EXPECT_THAT(together(runs, 1, whole).shared, ElementsAre(0, 0));
  EXPECT_THAT(whole.calls, ElementsAre(2, 2));
}

TEST(SharedAnswers, EqualPromptsOfOneRunAreOneRow) {
  CountedNetwork by_rows, whole;
  together({{.steps = 2, .prompt = 0, .negative_prompt = 0}}, 16, by_rows);
  together({{.steps = 2, .prompt = 0, .negative_prompt = 0}}, 1, whole);
  EXPECT_THAT(by_rows.calls, ElementsAre(1, 1));
  EXPECT_THAT(whole.calls, ElementsAre(2, 2));  // as it would be alone
}

// Calls that were asked, and those that were not, are all calls: however little is kept.
TEST(SharedAnswers, CallsAddUpWhateverIsKept) {
  std::vector<SharedRun> runs;
  for (int64_t last = 1; last <= 6; ++last) runs.push_back({.rule = {.scale = 3, .last_step = last}, .steps = 6});
  const auto alone = each_alone(runs);
  for (const int64_t at_once : {1, 2, 16}) {
    for (const size_t bytes : {size_t{1}, size_t{2000}, kPlenty}) {
      CountedNetwork network;
      const auto result = together(runs, at_once, network, bytes);
      const int64_t saved = std::accumulate(result.shared.begin(), result.shared.end(), int64_t{0});
      EXPECT_EQ(result.calls, 36);
      if (at_once == 1) {
        EXPECT_EQ(std::ssize(network.calls), result.calls - saved) << bytes;
      }
      for (size_t i = 0; i < runs.size(); ++i) EXPECT_TRUE(at::equal(result.latents[i], alone[i])) << i << " " << bytes;
    }
  }
}

TEST(SharedAnswers, ACutLeavesTheRestAsItIs) {
  CountedNetwork network;
  Engine engine(network.denoiser(), PredictionType::epsilon, 1);
  CallCounter counter;
  engine.add(sampler_named("ddim").start(at::ones({1, 2, 3, 3}), circle(9, 1.4, 0.1), {}, {}),
             {{at::ones({1, 1})}, {}, {}}, &counter);
  int ended = 0;
  engine.run([&](size_t, const Outcome&) { ++ended; }, [&] { return counter.calls == 4; });
  EXPECT_EQ(counter.calls, 4);
  EXPECT_EQ(ended, 0);
}

}  // namespace
}  // namespace steplapse
