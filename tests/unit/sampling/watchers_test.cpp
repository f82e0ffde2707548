#include "sampling/watchers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>

#include "base/aten.h"

namespace steplapse {
namespace {

using ::testing::ElementsAre;

struct Says : Watcher {
  explicit Says(Verdict verdict) : verdict(std::move(verdict)) {}
  Verdict stepped(const Step&) override { return verdict; }
  void decided(const Step&, const Verdict& decision) override { heard.push_back(decision.reason); }
  Verdict verdict;
  std::vector<std::string> heard;
};

const Step kStep{1, {500.0, 0.6, 0.8}, at::ones({1, 1, 2, 2}), at::zeros({1, 1, 2, 2})};

TEST(Watchers, AnyOfThemEndsTheRun) {
  Says nothing({}), stop({.stop = true, .reason = "settled"});
  Watchers watchers;
  watchers.add(nothing);
  EXPECT_FALSE(watchers.stepped(kStep).stop);
  watchers.add(stop);
  const Verdict verdict = watchers.stepped(kStep);
  EXPECT_TRUE(verdict.stop);
  EXPECT_EQ(verdict.reason, "settled");
}

TEST(Watchers, OneOfThemMayChangeTheLatents) {
  Says nothing({}), change({.x = 2 * kStep.x}), other({.x = 3 * kStep.x});
  Watchers watchers;
  watchers.add(change);
  watchers.add(nothing);
  EXPECT_TRUE(at::equal(watchers.stepped(kStep).x, 2 * kStep.x));
  watchers.add(other);
  EXPECT_THROW(watchers.stepped(kStep), std::logic_error);
}

TEST(Watchers, AllHearWhatWasDecided) {
  Says first({}), second({});
  Watchers watchers;
  watchers.add(first);
  watchers.add(second);
  watchers.decided(kStep, {.stop = true, .reason = "enough"});
  EXPECT_THAT(first.heard, ElementsAre("enough"));
  EXPECT_THAT(second.heard, ElementsAre("enough"));
}

TEST(Watchers, TheFirstThatKnowsAnAnswerGivesIt) {
  struct Knows : Watcher {
    explicit Knows(double value) : value(value) {}
    std::optional<Answer> recall(const Question&) override { return Answer{at::full({1}, value), {}, 0}; }
    double value;
  };
  Says nothing({});
  Knows one(1), two(2);
  Watchers watchers;
  watchers.add(nothing);
  EXPECT_EQ(watchers.recall({1, 1, {}, {}}), std::nullopt);
  watchers.add(one);
  watchers.add(two);
  EXPECT_EQ(watchers.recall({1, 1, {}, {}})->cond.item<double>(), 1);
}

}  // namespace
}  // namespace steplapse
