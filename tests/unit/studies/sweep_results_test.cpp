#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "steplapse/error.h"
#include "studies/sweep/sweep_distances.h"
#include "studies/sweep/sweep_table.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;
using Row = std::optional<CellRow>;

/// A cell that is done. A sampler that ends in ~ is stochastic.
Row cell_by(const std::string& sampler, int64_t steps, int64_t calls, const ordered_json& more = {{"seed", 1}}) {
  CellRow row{.cell = 0, .status = "done"};
  row.stochastic = sampler.back() == '~';
  row.settings = {{"prompt", "apple"}, {"steps", steps}, {"sampler", sampler}, {"eta", row.stochastic ? 1.0 : 0.0}};
  row.settings.update(more);
  row.denoiser_calls = calls;
  row.steps = steps;
  return row;
}

std::vector<int> references(const std::vector<Row>& rows) {
  std::vector<int> cells;
  for (const auto& cell : references_of(rows)) cells.push_back(cell ? static_cast<int>(*cell) : -1);
  return cells;
}

TEST(SweepReferences, AreTheMostCallsOfAllDeterministicSamplers) {
  EXPECT_THAT(
      references({cell_by("euler", 5, 5), cell_by("euler", 20, 20), cell_by("heun", 5, 9), cell_by("heun", 20, 39)}),
      ElementsAre(3, 3, 3, 3));
}

TEST(SweepReferences, DifferWithSeedAndEveryOtherSetting) {
  EXPECT_THAT(references({cell_by("euler", 5, 5, {{"seed", 1}}), cell_by("euler", 9, 9, {{"seed", 2}}),
                          cell_by("euler", 7, 7, {{"seed", 1}, {"guidance_scale", 3}}),
                          cell_by("euler", 8, 8, {{"seed", 1}, {"guidance_scale", 3}})}),
              ElementsAre(0, 1, 3, 3));
}

TEST(SweepReferences, OfStochasticSamplersAreTheirOwn) {
  EXPECT_THAT(references({cell_by("euler_a~", 5, 5), cell_by("euler_a~", 10, 10), cell_by("ddpm~", 50, 50),
                          cell_by("euler", 20, 20)}),
              ElementsAre(1, 1, 2, 3));
}

TEST(SweepReferences, OfStochasticSamplersHaveEqualOptions) {
  EXPECT_THAT(references({cell_by("euler_a~", 5, 5, {{"eta", 0.5}}), cell_by("euler_a~", 10, 10, {{"eta", 0.5}}),
                          cell_by("euler_a~", 20, 20, {{"eta", 1}})}),
              ElementsAre(1, 1, 2));
}

TEST(SweepReferences, OfEqualCallsAreOfHigherOrderElseFirst) {
  EXPECT_THAT(references({cell_by("euler", 20, 20), cell_by("dpmpp_2m", 20, 20), cell_by("euler", 5, 5)}),
              ElementsAre(1, 1, 1));
  EXPECT_THAT(references({cell_by("euler", 20, 20), cell_by("ddim", 20, 20)}), ElementsAre(0, 0));
}

TEST(SweepReferences, OfRunsThatAreEndedEarlyAreTheWholeOnes) {
  EXPECT_THAT(references({cell_by("euler", 20, 5, {{"stop_at", 5}}), cell_by("euler", 20, 20, {{"stop_at", "none"}}),
                          cell_by("euler", 20, 20, {{"decoder", "tiny"}})}),
              ElementsAre(1, 1, 1));
}

TEST(SweepReferences, AreNeverCellsThatFailed) {
  Row failed = cell_by("euler", 50, 50);
  failed->status = "failed";
  EXPECT_THAT(references({cell_by("euler", 5, 5), failed, std::nullopt}), ElementsAre(0, -1, -1));
}

// ---- the table

/// Two prompts, one of them hard to write, times steps of 5 and 10; two cells have rows.
Sweep half_a_sweep() {
  Sweep sweep{.folder = "sweep", .plan = {}, .rows = {}};
  sweep.plan.fixed = {{"seed", "7"}, {"decoder", "tiny"}, {"weight", "a=1.2"}};
  sweep.plan.axes = {{"prompt", {{{"prompt", "apple"}}, {{"prompt", "say \"a, b\"\nand 7"}}}},
                     {"steps", {{{"steps", "5"}}, {{"steps", "10"}}}},
                     {"weight", {{{"weight", "b=2"}}}}};
  sweep.rows.resize(4);
  sweep.rows[1] = cell_by("euler", 10, 10, {{"seed", 7}, {"s_tmax", nullptr}, {"guidance_scale", 7.5}});
  sweep.rows[1]->network_seconds = 0.1;
  sweep.rows[1]->folder = "runs/0002-apple-7";
  sweep.rows[2] = CellRow{.cell = 2, .status = "failed", .reason = "out of memory, \"sorry\""};
  return sweep;
}

const std::vector<std::optional<SweepDistance>> kNone(4);

TEST(SweepTable, HasEverySettingOfRunsAndPlanInOneOrder) {
  const Sweep sweep = half_a_sweep();
  EXPECT_EQ(SweepTable(sweep, kNone).csv_header(),
            "cell,prompt,steps,sampler,eta,seed,s_tmax,guidance_scale,decoder,weight,denoiser_calls,shared_calls,"
            "steps_made,first_timestep,settles_at_step,would_stop_at_step,stochastic,reference,latents_rms,psnr,"
            "high_frequency_power,network_seconds,decode_seconds,peak_memory,status,reason,folder,final_sha256\n");
}

TEST(Sweep, KnowsOfItsRunsWhatTheAxesSetBesides) {
  Sweep sweep = half_a_sweep();
  sweep = sweep_of("sweep", sweep.plan, sweep.rows);
  EXPECT_EQ(sweep.rows[1]->settings["weight"], "b=2") << "what all cells have is no difference";
  EXPECT_EQ(sweep.rows[1]->settings["steps"], 10);
  EXPECT_FALSE(sweep.rows[1]->settings.contains("decoder"));
  EXPECT_TRUE(sweep.rows[2]->settings.is_null());
}

TEST(SweepTable, LeavesEmptyWhatThereIsNot) {
  const Sweep sweep = half_a_sweep();
  const SweepTable table(sweep, kNone);
  EXPECT_EQ(table.csv_line(table.row(1)),
            "2,\"apple\",10,\"euler\",0,7,,7.5,\"tiny\",\"a=1.2; b=2\",10,,10,,,,,,,,,0.1,,,\"done\",,"
            "\"runs/0002-apple-7\",\n");
  const ordered_json json = ordered_json::parse(table.json_line(table.row(1)));
  EXPECT_EQ(json["guidance_scale"], 7.5);
  EXPECT_TRUE(json["s_tmax"].is_null());
  EXPECT_TRUE(json["psnr"].is_null());
}

TEST(SweepTable, SaysOfCellsWithoutARunWhatThePlanHas) {
  const Sweep sweep = half_a_sweep();
  const SweepTable table(sweep, kNone);
  EXPECT_EQ(table.csv_line(table.row(0)), "1,\"apple\",5,,,7,,,\"tiny\",\"a=1.2; b=2\",,,,,,,,,,,,,,,\"missing\",,,\n");
  EXPECT_THAT(table.csv_line(table.row(2)), HasSubstr("3,\"say \"\"a, b\"\"\nand 7\",5,"));
  EXPECT_THAT(table.csv_line(table.row(2)), HasSubstr("\"failed\",\"out of memory, \"\"sorry\"\"\","));
  EXPECT_EQ(ordered_json::parse(table.json_line(table.row(2)))["prompt"], "say \"a, b\"\nand 7");
}

TEST(SweepTable, CountsCellsFromOneAndMarksStochasticOnes) {
  Sweep sweep = half_a_sweep();
  sweep.rows[1]->stochastic = true;
  auto distances = kNone;
  distances[1] = SweepDistance{.reference = 3, .latents_rms = 0.25, .psnr = std::numeric_limits<double>::infinity()};
  const SweepTable table(sweep, distances);
  EXPECT_THAT(table.csv_line(table.row(1)), HasSubstr(",~,4,0.25,inf,"));
  const ordered_json json = ordered_json::parse(table.json_line(table.row(1)));
  EXPECT_EQ(json["stochastic"], true);
  EXPECT_EQ(json["reference"], 4);
  EXPECT_TRUE(json["psnr"].is_null()) << "JSON has no infinity";
}

}  // namespace
}  // namespace steplapse
