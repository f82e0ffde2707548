#include "studies/sweep/sweep_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "steplapse/error.h"
#include "studies/sweep/sweep_summary_report.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr double kEqual = std::numeric_limits<double>::infinity();

/// Cells with their distances: what summary_of is given.
struct SummedSweep {
  std::vector<std::optional<CellRow>> rows;
  std::vector<std::optional<SweepDistance>> distances;

  /// Each picture's reference is a cell that isn't there, by its seed; or itself where psnr is below 0.
  void add(const std::string& sampler, int64_t steps, int64_t seed, double psnr, const std::string& schedule = "karras",
           const std::string& prompt = "apple") {
    CellRow row{.cell = rows.size(), .status = "done"};
    row.settings = {{"prompt", prompt}, {"seed", seed},         {"steps", steps},       {"sampler", sampler},
                    {"eta", 0.0},       {"schedule", schedule}, {"guidance_scale", 7.5}};
    row.denoiser_calls = sampler == "heun" ? 2 * steps - 1 : steps;
    row.network_seconds = 0.01 * static_cast<double>(*row.denoiser_calls);
    row.stochastic = sampler == "euler_a";
    const bool is_own = psnr < 0;
    distances.push_back(SweepDistance{.reference = is_own ? rows.size() : 1000 + static_cast<size_t>(seed),
                                      .latents_rms = is_own ? 0 : 0.5,
                                      .psnr = is_own ? kEqual : psnr});
    rows.push_back(row);
  }
  /// A picture of each seed from 1.
  void add_seeds(const std::string& sampler, int64_t steps, const std::vector<double>& psnr,
                 const std::string& schedule = "karras", const std::string& prompt = "apple") {
    for (size_t i = 0; i < psnr.size(); ++i)
      add(sampler, steps, static_cast<int64_t>(i) + 1, psnr[i], schedule, prompt);
  }
  SweepSummary sum(const SweepSummaryOptions& options = {}) const { return summary_of(rows, distances, options); }
  std::string table(const SweepSummaryOptions& options = {}) const { return summary_table(sum(options), 100); }
};

TEST(SweepSummary, HasMeanAndDeviationOverPicturesThatDiffer) {
  SummedSweep sweep;
  sweep.add_seeds("euler", 5, {20, 24, 28, kEqual});
  const SummaryLine line = sweep.sum().groups.at(0).lines.at(0);
  EXPECT_DOUBLE_EQ(line.psnr.mean, 24);
  EXPECT_DOUBLE_EQ(*line.psnr.deviation, 4);  // of 20, 24, 28 with n - 1
  EXPECT_EQ(line.pictures, 4u);
  EXPECT_EQ(line.equal, 1u);
  EXPECT_EQ(line.near, 1u);
  EXPECT_DOUBLE_EQ(line.latents_rms.mean, 0.5);
}

TEST(SweepSummary, AddsTheSecondsThatSharedAnswersWouldHaveTaken) {
  SummedSweep sweep;
  sweep.add_seeds("euler", 10, {20, 20, 20});
  sweep.rows[0]->shared_calls = 5;
  sweep.rows[0]->network_seconds = 0.3;  // for the other five
  sweep.rows[1]->shared_calls = 10;
  sweep.rows[1]->network_seconds = 0;
  sweep.rows[2]->network_seconds = 0.8;
  EXPECT_DOUBLE_EQ(*sweep.sum().groups[0].lines[0].seconds, 0.7);  // the mean of 0.6 and 0.8
  sweep.rows[0] = sweep.rows[2] = std::nullopt;
  EXPECT_FALSE(sweep.sum().groups[0].lines[0].seconds);
}

TEST(SweepSummary, LeavesReferencesOutOfTheSpread) {
  SummedSweep sweep;
  sweep.add_seeds("euler", 50, {-1, -1, 35});
  const SummaryLine line = sweep.sum().groups.at(0).lines.at(0);
  EXPECT_DOUBLE_EQ(line.psnr.mean, 35);
  EXPECT_FALSE(line.psnr.deviation);
  EXPECT_EQ(line.references, 2u);
  EXPECT_EQ(line.near, 3u);
}

TEST(SweepSummary, TakesTheFewestStepsWithinTheToleranceForNineteenOfTwenty) {
  SummedSweep sweep;
  std::vector<double> all_but_one(20, 31), all_but_two(20, 31);
  all_but_one[3] = all_but_two[3] = all_but_two[4] = 29.9;
  sweep.add_seeds("euler", 5, all_but_two);
  sweep.add_seeds("euler", 10, all_but_one);
  sweep.add_seeds("euler", 20, std::vector<double>(20, 40));
  const SummaryGroup group = sweep.sum().groups.at(0);
  ASSERT_TRUE(group.smallest);
  EXPECT_EQ(group.lines[*group.smallest].steps, 10);
  EXPECT_EQ(sweep.sum({.within = 29.9}).groups.at(0).smallest, 0u) << "the tolerance itself is within";
  EXPECT_EQ(sweep.sum({.within = 41}).groups.at(0).smallest, std::nullopt);
}

TEST(SweepSummary, SaysFirstWhatNeedsTheFewestCalls) {
  SummedSweep sweep;
  sweep.add_seeds("euler", 20, {35, 36});
  sweep.add_seeds("heun", 10, {45, 46});  // 19 calls
  sweep.add_seeds("unipc", 50, {-1, -1});
  sweep.add_seeds("ddim", 5, {10, 10});
  const SweepSummary summary = sweep.sum();
  std::vector<std::string> samplers;
  for (const size_t group : summary.answers) samplers.push_back(summary.groups[group].sampler());
  EXPECT_THAT(samplers, ElementsAre("heun", "euler", "unipc", "ddim"));
}

TEST(SweepSummary, TakesTheBestScheduleOfASampler) {
  SummedSweep sweep;
  sweep.add_seeds("euler", 20, {31}, "leading");
  sweep.add_seeds("euler", 10, {31}, "karras");
  const SweepSummary summary = sweep.sum();
  ASSERT_THAT(summary.answers, SizeIs(1));
  EXPECT_EQ(summary.groups[summary.answers[0]].settings[1].second, "karras");
}

TEST(SweepSummary, LeavesStochasticSamplersOutUnlessNamed) {
  SummedSweep sweep;
  sweep.add_seeds("euler", 20, {35});
  sweep.add_seeds("euler_a", 20, {25});
  EXPECT_THAT(sweep.sum().groups, SizeIs(1));
  EXPECT_THAT(sweep.sum().left_out, ElementsAre("euler_a"));
  const SweepSummary named = sweep.sum({.samplers = {"euler_a"}});
  ASSERT_THAT(named.groups, SizeIs(1));
  EXPECT_TRUE(named.groups[0].stochastic);
}

TEST(SweepSummary, TellsOptionsOfASamplerApartWhereTheyVary) {
  SummedSweep sweep;
  sweep.add_seeds("euler", 20, {35, 36});
  sweep.rows[1]->settings["eta"] = 0.5;
  EXPECT_THAT(sweep.sum().groups, SizeIs(2));
  EXPECT_THAT(sweep.table(), HasSubstr("euler on karras, eta 0.5"));
}

TEST(SweepSummary, TellsRunsApartThatAreEndedEarly) {
  SummedSweep sweep;
  sweep.add_seeds("euler", 20, {35, 15});
  sweep.rows[0]->settings["stop_at"] = "none";
  sweep.rows[1]->settings["stop_at"] = 5;
  EXPECT_THAT(sweep.sum().groups, SizeIs(2));
}

TEST(SweepSummary, TellsSettingsApartThatAreAskedFor) {
  SummedSweep sweep;
  sweep.add_seeds("euler", 20, {35, 36});
  sweep.rows[1]->settings["guidance_scale"] = 3;
  EXPECT_THAT(sweep.sum().groups, SizeIs(1));
  EXPECT_THAT(sweep.sum({.by = {"guidance_scale"}}).groups, SizeIs(2));
  EXPECT_THROW(sweep.sum({.by = {"guidance"}}), UsageError);
}

TEST(SweepSummary, FindsWhereMoreStepsAreWorse) {
  SummedSweep sweep;
  sweep.add_seeds("ddim", 10, {34, 36, 38});
  sweep.add_seeds("ddim", 20, {31, 32, 33});  // 3, 4, 5 less
  sweep.add_seeds("ddim", 10, {34, 36, 38}, "karras", "pear");
  sweep.add_seeds("ddim", 20, {35, 37, 39}, "karras", "pear");
  const auto worse = sweep.sum().worse;
  ASSERT_THAT(worse, SizeIs(1));
  EXPECT_EQ(worse[0].prompt, "apple");
  EXPECT_EQ(worse[0].best, 10);
  EXPECT_EQ(worse[0].later, 20);
  EXPECT_DOUBLE_EQ(worse[0].fall, 4);
  EXPECT_EQ(worse[0].pictures, 3u);
}

TEST(SweepSummary, TakesNoNoiseForAFall) {
  SummedSweep sweep;
  sweep.add_seeds("ddim", 10, {30, 40, 30, 40});
  sweep.add_seeds("ddim", 20, {38, 30, 38, 29});  // -8, 10, -8, 11: a mean of 1.25, give or take 5.3
  EXPECT_THAT(sweep.sum().worse, IsEmpty());
}

TEST(SweepSummary, TakesWhatIsNearerThanALevelForEqual) {
  SummedSweep sweep;
  sweep.add_seeds("ddim", 10, {90, 90, 90});
  sweep.add_seeds("ddim", 20, {60, 60, 60});
  EXPECT_THAT(sweep.sum().worse, IsEmpty());
}

TEST(SweepSummary, SaysTheAnswerInItsFirstLine) {
  SummedSweep sweep;
  sweep.add_seeds("euler", 10, {31, 32});
  sweep.add_seeds("euler", 50, {45, 46});
  EXPECT_THAT(
      summary_table(sweep.sum(), 1000),
      testing::StartsWith("Use euler on karras with 10 steps: the fewest calls within 30 dB of the reference for "
                          "95 % of the pictures (2 of 2). 10 calls a picture in place of 50 with 50 steps, 0.1 s in "
                          "place of 0.5.\n"));
  sweep.rows.push_back(std::nullopt);
  sweep.distances.push_back(std::nullopt);
  EXPECT_THAT(sweep.table(), testing::StartsWith("So far: Use euler"));
  EXPECT_THAT(sweep.table(), HasSubstr("5 cells, 1 of them missing"));
}

TEST(SweepSummary, SaysWhereNothingIsEnough) {
  SummedSweep sweep;
  sweep.add_seeds("euler", 10, {11, 12});
  EXPECT_THAT(sweep.table(), testing::StartsWith("No number of steps is within 30 dB"));
  EXPECT_THAT(summary_csv(sweep.sum()), HasSubstr("\"euler\",\"karras\",0,10,2,0,0,11.5,"));
}

TEST(SweepSummary, PlotsPsnrOverCalls) {
  SummedSweep sweep;
  sweep.add_seeds("heun", 10, {30, 32});
  sweep.add_seeds("heun", 20, {-1, -1});
  const Plot plot = summary_plot(sweep.sum());
  ASSERT_THAT(plot.series, SizeIs(2)) << "and the tolerance";
  EXPECT_THAT(plot.series[0].x, ElementsAre(19));
  EXPECT_THAT(plot.series[0].y, ElementsAre(31));
  EXPECT_THAT(plot.series[0].spread, ElementsAre(testing::DoubleEq(std::sqrt(2.0))));
}

TEST(SweepSummary, RefusesASweepWithoutPictures) {
  const SummedSweep empty{{std::nullopt}, {std::nullopt}};
  EXPECT_THROW(empty.sum(), UsageError);
  SummedSweep noisy;
  noisy.add_seeds("euler_a", 10, {30});
  EXPECT_THROW(noisy.sum(), UsageError);
}

}  // namespace
}  // namespace steplapse
