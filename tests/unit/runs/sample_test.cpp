#include "steplapse/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/aten.h"
#include "steplapse/error.h"
#include "steplapse/run_log.h"
#include "support/bundle_maker.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using test_support::BundleMaker;
using test_support::TemporaryFolder;

class Sample : public ::testing::Test {
 protected:
  Sample() : bundle_(load_bundle(folder_of_trailing_steps())) {
    settings_.prompt = "red";
    settings_.seed = 1;
    settings_.steps = 3;
    settings_.schedule = "trailing";
  }
  const fs::path& folder_of_trailing_steps() {
    maker_.manifest["training_noise"]["timestep_spacing"] = "trailing";
    return maker_.write();
  }
  nlohmann::json facts() const { return nlohmann::json::parse(std::ifstream(recording_.folder / "run.json")); }

  BundleMaker maker_;
  TemporaryFolder folder_;
  Bundle bundle_;
  Settings settings_;
  Recording recording_{.folder = folder_ / "run"};
};

TEST_F(Sample, WritesARunFolderWhoseLogGivesTheSameLatents) {
  int64_t steps = 0;
  const auto count = [&](const Step&) { return ++steps > 0; };
  const Tensor alone = sample(bundle_, settings_, count);
  EXPECT_FALSE(fs::exists(recording_.folder));
  const Tensor recorded = sample(bundle_, settings_, count, recording_);
  EXPECT_EQ(steps, 6);
  EXPECT_TRUE(at::equal(recorded, alone));
  EXPECT_TRUE(at::equal(refeed(RunLog::open(recording_.folder / "run.sqlite")), alone));
  for (const char* file : {"final.png", "frames/x0/0001.png", "frames/x0/0003.png", "steps.csv"}) {
    EXPECT_TRUE(fs::exists(recording_.folder / file)) << file;
  }
  EXPECT_EQ(facts().at("ended"), "done");
}

TEST_F(Sample, OtherLatentsAreWhatTheRunGoesOnWithAndStandInTheLog) {
  const auto change = [](const Step& step) {
    return step.number == 2 ? Verdict{.x = step.x + 1, .reason = "one more"} : Verdict{};
  };
  const Tensor unchanged = sample(bundle_, settings_, [](const Step&) { return true; });
  const Tensor changed = sample(bundle_, settings_, change, recording_);
  EXPECT_FALSE(at::allclose(changed, unchanged));
  const RunLog log = RunLog::open(recording_.folder / "run.sqlite");
  EXPECT_TRUE(log.latents_after(2).defined());
  EXPECT_FALSE(log.latents_after(1).defined());
  EXPECT_TRUE(at::equal(refeed(log), changed));
}

TEST_F(Sample, ARunThatItsOwnCodeEndsIsStoppedAndGivesItsX0) {
  Tensor x0;
  const auto stop = [&](const Step& step) {
    x0 = step.x0;
    return Verdict{.stop = step.number == 2, .reason = "it settled"};
  };
  const Tensor latents = sample(bundle_, settings_, stop, recording_);
  EXPECT_TRUE(at::equal(latents, x0));
  EXPECT_EQ(facts().at("ended"), "stopped");
  EXPECT_EQ(facts().at("ended_reason"), "it settled, after step 2");
  EXPECT_TRUE(at::equal(refeed(RunLog::open(recording_.folder / "run.sqlite")), latents));
}

TEST_F(Sample, AFolderThatHoldsARunIsRefusedUnlessItMayBeReplaced) {
  const auto go_on = [](const Step&) { return true; };
  sample(bundle_, settings_, go_on, recording_);
  EXPECT_THROW(sample(bundle_, settings_, go_on, recording_), OutputError);
  recording_.overwrite = true;
  sample(bundle_, settings_, go_on, recording_);
}

TEST_F(Sample, WhatItsOwnCodeThrowsComesOutAndMarksTheRunFailed) {
  const auto fail = [](const Step&) -> bool { throw std::runtime_error("no idea"); };
  EXPECT_THROW(sample(bundle_, settings_, fail, recording_), std::runtime_error);
  EXPECT_EQ(facts().at("ended"), "failed");
}

TEST_F(Sample, TheDefaultsAreTheBundlesAsOnTheCommandLine) {
  Settings only_the_prompt;
  only_the_prompt.prompt = "red";
  only_the_prompt.seed = 1;
  int64_t steps = 0;
  sample(bundle_, only_the_prompt, [&](const Step& step) { return (steps = step.number) > 0; }, recording_);
  EXPECT_EQ(steps, 3);
  EXPECT_EQ(facts().at("sampler"), "ddim");
  EXPECT_EQ(facts().at("guidance_scale"), 5);
}

}  // namespace
}  // namespace steplapse
