#include "steplapse/run_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/aten.h"
#include "base/sha256.h"
#include "record/facts.h"
#include "record/history.h"
#include "record/origin.h"
#include "steplapse/error.h"
#include "support/toy_denoiser.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::Eq;
using testing::Optional;
using testing::StartsWith;
using testing::StrEq;
using testing::ThrowsMessage;

constexpr double kNoisy = 1.4, kClean = 0.1;
constexpr int64_t kSteps = 5;

/// The toy answer moves with what it is conditioned on.
Tensor network(const Tensor& x, const Tensor& angles, const std::vector<Tensor>& conditioning) {
  return gaussian_denoiser(0.5)(x, angles, {}) + 0.1 * conditioning.at(0).view({-1, 1, 1, 1});
}

Recipe recipe_of(double eta, double guidance_scale, Rng rng = Rng::cpu, uint64_t seed = 7) {
  Recipe recipe{
      "ddim", {.eta = eta}, circle(kSteps, kNoisy, kClean), PredictionType::epsilon, {guidance_scale}, rng, seed, {}};
  recipe.init_noise = Noise(rng, seed).draw({1, 2, 3, 3});
  return recipe;
}

Guidance guidance_of(const Recipe& recipe) {
  return {{at::full({1, 1}, 2.0)}, {at::full({1, 1}, -1.0)}, recipe.guidance};
}

Tensor result(const Outcome& outcome) {
  if (outcome.error) std::rethrow_exception(outcome.error);
  return outcome.latents;
}

struct Writer : Watcher {
  explicit Writer(RunLog& log, int64_t stop_at) : log(log), stop_at(stop_at) {}
  void answered(const Question& question, const Answer& answer) override {
    asked.push_back(question.x);
    log.add_call(question, answer);
  }
  Verdict stepped(const Step& step) override {
    if (step.number == stop_at) log.add_stop(step.number, "SIGINT");
    return {step.number == stop_at, {}};
  }
  RunLog& log;
  int64_t stop_at;
  std::vector<Tensor> asked;
};

/// Feeds a log to whatever sampler it is asked by.
struct Reader : Watcher {
  explicit Reader(const RunLog& log) : log(log) {}
  std::optional<Answer> recall(const Question& question) override { return log.recall(question); }
  const RunLog& log;
};

Machine machine_of(const std::string& version, int64_t threads) {
  Machine machine;
  machine.version = version;
  machine.threads = threads;
  machine.onednn_max_cpu_isa = "AVX2";
  return machine;
}

class Log : public testing::Test {
 protected:
  Log() { fs::create_directories(folder_); }
  ~Log() override { fs::remove_all(folder_); }

  RunLog create(const Recipe& recipe) {
    fs::remove(path_);
    return RunLog::create(path_, {"red apple", "blue", "plain", 16, 16, "leading", {}, {}, {}, {}, recipe},
                          {.machine = machine_of("1.2", 1)}, {});
  }

  /// Writes the log of a run and gives what it ended with.
  Tensor record(const Recipe& recipe, int64_t stop_at = 0) {
    RunLog log = create(recipe);
    Writer writer(log, stop_at);
    Engine engine(network, recipe.prediction_type);
    engine.add(start(recipe), guidance_of(recipe), &writer);
    const Tensor latents = result(engine.run().front());
    log.end("done", "");
    asked_ = writer.asked;
    return latents;
  }

  Tensor refeed_file() const { return refeed(RunLog::open(path_)); }

  /// This recipe's run, fed with what the log of the last one says.
  Tensor feed(const Recipe& recipe) const {
    const RunLog log = RunLog::open(path_);
    Reader reader(log);
    Engine engine(network, recipe.prediction_type);
    engine.add(start(recipe), guidance_of(recipe), &reader);
    return result(engine.run().front());
  }

  /// Another program's hand in the file.
  void edit(const std::string& sql) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
  }

  const fs::path folder_ = fs::path(testing::TempDir()) / ("run_log_" + std::to_string(::getpid()));
  const fs::path path_ = folder_ / "run.sqlite";
  std::vector<Tensor> asked_;  // by each call of the last record()
};

std::string first_12_digits(const Tensor& x) {
  return sha256({static_cast<const char*>(x.const_data_ptr()), x.nbytes()}).substr(0, 12);
}

// ---- a log makes its run again ------------------------------------------------------------------------------------

TEST_F(Log, RefedToTheSamplerGivesTheFinalLatentsToTheBit) {
  for (const Rng rng : {Rng::cpu, Rng::philox}) {
    for (const double eta : {0.0, 0.7}) {
      for (const double scale : {0.0, 0.5, 1.0, 7.5}) {
        const Tensor latents = record(recipe_of(eta, scale, rng));
        EXPECT_TRUE(at::equal(refeed_file(), latents)) << name_of(rng) << ", eta " << eta << ", scale " << scale;
      }
    }
  }
}

TEST_F(Log, RefeedsWhateverTheModelAndTheStart) {
  Recipe recipe = recipe_of(0.7, 3);
  recipe.prediction_type = PredictionType::v_prediction;
  recipe.options.clip_sample_range = 0.5;
  recipe.schedule.init_scale = 2;
  const Tensor latents = record(recipe);
  EXPECT_TRUE(at::equal(refeed_file(), latents));
}

// Steps outside the interval have one answer, and the last of the first level's rows shows it.
TEST_F(Log, RefeedsARunThatIsGuidedInSomeSteps) {
  Recipe recipe = recipe_of(0, 7.5);
  recipe.guidance.first_step = 2;
  recipe.guidance.last_step = 3;
  recipe.guidance.rescale = 0.5;
  const Tensor latents = record(recipe);
  EXPECT_TRUE(at::equal(refeed_file(), latents));
  const RunLog log = RunLog::open(path_);
  EXPECT_FALSE(log.recall({1, 1, recipe.schedule.levels[0], asked_[0]})->uncond.defined());
  EXPECT_TRUE(log.recall({2, 2, recipe.schedule.levels[1], asked_[1]})->uncond.defined());
  EXPECT_FALSE(log.recall({4, 4, recipe.schedule.levels[3], asked_[3]})->uncond.defined());
}

TEST_F(Log, KnowsWhetherTheStartWasTheStreamsFirstDraw) {
  Recipe recipe = recipe_of(0.7, 1);
  const Tensor drawn = record(recipe);
  recipe.init_noise_given = true;  // the fresh noise of step 1 is then the stream's first draw
  const Tensor given = record(recipe);
  EXPECT_TRUE(at::equal(refeed_file(), given));
  EXPECT_FALSE(at::equal(drawn, given));
}

TEST_F(Log, RefeedsAStoppedRunToItsStop) {
  const Tensor stopped = record(recipe_of(0.7, 7.5), 3);
  EXPECT_EQ(asked_.size(), 3u);
  EXPECT_TRUE(at::equal(refeed_file(), stopped));
  EXPECT_THAT(RunLog::open(path_).stopped_at(), Optional(3));
}

TEST_F(Log, GivesItsRecipeBackToTheBit) {
  Recipe recipe = recipe_of(0.1, 7.3, Rng::philox, std::numeric_limits<uint64_t>::max());
  recipe.options = {.eta = 0.1, .s_churn = 3, .s_tmin = 0.2, .s_tmax = 20, .s_noise = 1.003, .clip_sample_range = 0.1};
  recipe.guidance = {
      .scale = 7.3, .first_step = 2, .last_step = 4, .sigma_low = 0.28, .sigma_high = 5.42, .rescale = 0.7};
  recipe.schedule.alphas_cumprod = {0.99, 0.5, 1.0 / 3};
  recipe.schedule.levels.back().timestep.reset();
  record(recipe, 2);
  const Recipe found = RunLog::open(path_).recipe();
  EXPECT_EQ(found.sampler, recipe.sampler);
  EXPECT_EQ(found.options, recipe.options);
  EXPECT_EQ(found.schedule.levels, recipe.schedule.levels);
  EXPECT_EQ(found.schedule.init_scale, recipe.schedule.init_scale);
  EXPECT_EQ(found.schedule.alphas_cumprod, recipe.schedule.alphas_cumprod);
  EXPECT_EQ(found.prediction_type, recipe.prediction_type);
  EXPECT_EQ(found.guidance, recipe.guidance);
  EXPECT_EQ(found.rng, recipe.rng);
  EXPECT_EQ(found.seed, recipe.seed);
  EXPECT_TRUE(at::equal(found.init_noise, recipe.init_noise));
  EXPECT_FALSE(found.init_noise_given);
}

TEST_F(Log, GivesItsFactsBack) {
  fs::remove(path_);
  Facts facts{"red apple", "", "weights", 24, 16, "karras", 0.03, 14.6, 7.5, {}, recipe_of(0.7, 7.5)};
  RunLog::create(path_, facts, {}, {});
  EXPECT_EQ(settings_json(RunLog::open(path_).facts()), settings_json(facts));
  facts.negative_prompt.reset();
  facts.sigma_min = facts.sigma_max = facts.rho = {};
  facts.shift = 3;
  fs::remove(path_);
  RunLog::create(path_, facts, {}, {});
  EXPECT_EQ(settings_json(RunLog::open(path_).facts()), settings_json(facts));
}

TEST_F(Log, OfABranchGivesTheRunsBeforeIt) {
  const auto facts_with = [](const std::string& prompt, const Recipe& recipe) {
    return Facts{prompt, "", "weights", 24, 16, "karras", 0.03, 14.6, 7.5, {}, recipe};
  };
  const Facts first = facts_with("red apple", recipe_of(0.7, 7.5));
  Facts second = facts_with("blue apple", recipe_of(0.7, 3)), third = facts_with("pear", recipe_of(0.2, 3));
  second.fresh_noise = FreshNoise{.amount = 0.5, .seed = 3};
  branch_off(second, std::make_shared<const Facts>(first), 2);
  branch_off(third, std::make_shared<const Facts>(second), 4);
  third.fresh_noise = FreshNoise{.amount = 0.25,
                                 .keep_variance = true,
                                 .seed = std::numeric_limits<uint64_t>::max(),
                                 .region = FreshNoise::Region{1, 0, 2, 3}};
  fs::remove(path_);
  RunLog::create(path_, third, {}, {});
  const Facts found = RunLog::open(path_).facts();
  const Facts* expected = &third;
  for (const Facts* facts = &found; facts; facts = facts->before.get(), expected = expected->before.get()) {
    ASSERT_TRUE(expected);
    EXPECT_EQ(settings_json(*facts), settings_json(*expected));
    EXPECT_EQ(facts->recipe.schedule.levels, expected->recipe.schedule.levels);
    EXPECT_EQ(facts->recipe.branched_after, expected->recipe.branched_after);
    EXPECT_EQ(facts->recipe.before.get(), facts->before ? &facts->before->recipe : nullptr);
    EXPECT_TRUE(at::equal(facts->recipe.init_noise, expected->recipe.init_noise));
  }
  EXPECT_FALSE(expected);
}

TEST_F(Log, OfABranchIsRefedToTheBit) {
  const Facts before{"red apple", "", "plain", 16, 16, "leading", {}, {}, {}, {}, recipe_of(0.7, 7.5)};
  for (const char* sampler : {"ddim", "euler_a"}) {
    Facts branch = before;
    branch.recipe.sampler = sampler;
    branch.recipe.guidance.scale = 1;
    branch_off(branch, std::make_shared<const Facts>(before), 2);
    fs::remove(path_);
    RunLog log = RunLog::create(path_, branch, {}, {});
    Writer writer(log, 0);
    Engine engine(network, branch.recipe.prediction_type);
    GuidanceBySteps guidance{{1, guidance_of(before.recipe)}, {3, guidance_of(branch.recipe)}};
    engine.add_by_steps(start(branch.recipe), guidance, &writer);
    const Tensor latents = result(engine.run().front());
    log.end("done", "");
    EXPECT_TRUE(at::equal(refeed_file(), latents)) << sampler;
  }
}

// On another CPU sums round otherwise, so the sampler asks about latents with other last bits.
TEST_F(Log, MadeWhereSumsRoundOtherwiseNeedsTheSameStartAndLevels) {
  Origin elsewhere;
  elsewhere.machine = machine_here();
  for (const char* capability : {"here", "elsewhere"}) {
    if (capability == std::string("elsewhere")) elsewhere.machine.cpu_capability = capability;
    const auto made = [&](const std::string& change) {
      const Recipe recipe = recipe_of(0.7, 7.5);
      fs::remove(path_);
      RunLog log =
          RunLog::create(path_, {"red apple", {}, "plain", 16, 16, "leading", {}, {}, {}, {}, recipe}, elsewhere, {});
      Writer writer(log, 0);
      Engine engine(network, recipe.prediction_type);
      engine.add(start(recipe), guidance_of(recipe), &writer);
      const Tensor latents = result(engine.run().front());
      log.end("done", "");
      edit(change);
      return latents;
    };
    const Tensor latents = made("UPDATE calls SET latents_sha256 = 'other bits' WHERE call = 3");
    if (capability == std::string("here")) {
      EXPECT_THROW(refeed_file(), std::runtime_error);
    } else {
      EXPECT_TRUE(at::equal(refeed_file(), latents));
    }
    made("UPDATE calls SET latents_sha256 = 'other bits' WHERE call = 1");
    EXPECT_THROW(refeed_file(), std::runtime_error) << capability;
    made("UPDATE calls SET sigma = 1.01 * sigma WHERE call = 3");
    EXPECT_THROW(refeed_file(), std::runtime_error) << capability;
  }
}

TEST_F(Log, OfABranchKnowsADamagedRunBeforeIt) {
  Facts branch{"pear", "", "plain", 16, 16, "leading", {}, {}, {}, {}, recipe_of(0.7, 7.5)};
  branch_off(branch, std::make_shared<const Facts>(branch), 2);
  fs::remove(path_);
  RunLog::create(path_, branch, {}, {});
  edit("UPDATE earlier SET last_step = 3");
  EXPECT_THROW(RunLog::open(path_), OutputError);
}

TEST_F(Log, GivesTheHistoryOfItsRun) {
  const Recipe recipe = recipe_of(0.7, 7.5);
  const Tensor latents = record(recipe);
  const History history = history_of(RunLog::open(path_));
  EXPECT_TRUE(at::equal(history.start, recipe.init_noise));
  ASSERT_EQ(history.steps.size(), static_cast<size_t>(kSteps));
  for (size_t i = 0; i < history.steps.size(); ++i) {
    const HistoryStep& step = history.steps[i];
    EXPECT_EQ(step.step.number, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(step.level(), recipe.schedule.levels[i]);
    EXPECT_TRUE(at::equal(step.questions.at(0).x, asked_[i]));
    const Answer& answer = step.answers.at(0);
    const Tensor guided = recipe.guidance.combined(answer.cond, answer.uncond);
    EXPECT_TRUE(at::equal(step.step.x0, prediction_of(recipe.prediction_type, asked_[i], guided, step.level()).x0));
  }
  EXPECT_TRUE(at::equal(history.steps.back().step.x, latents));
  EXPECT_TRUE(at::equal(history.last_estimate(), latents));
}

TEST_F(Log, OfACutOffRunHasTheHistoryUpToThere) {
  record(recipe_of(0.7, 7.5));
  edit("DELETE FROM calls WHERE call > 3");
  const History history = history_of(RunLog::open(path_));
  EXPECT_EQ(history.steps.size(), 3u);
  EXPECT_FALSE(history.latents.defined());
  EXPECT_TRUE(at::equal(history.last_estimate(), history.steps.back().step.x0));
  edit("DELETE FROM calls");
  EXPECT_TRUE(at::equal(history_of(RunLog::open(path_)).last_estimate(), history.start));
}

TEST_F(Log, OfVersion1IsReadAsItsProgramMeantIt) {
  const Tensor latents = record(recipe_of(0.7, 2));
  edit("PRAGMA user_version = 4");
  edit("DELETE FROM run WHERE key LIKE 'guidance_%' AND key <> 'guidance_scale'");
  edit(
      "DELETE FROM run WHERE key IN ('s_churn', 's_tmin', 's_tmax', 's_noise', 'alphas_cumprod', 'sigma_min', "
      "'sigma_max', 'rho', 'shift')");
  EXPECT_THAT([&] { refeed_file(); },
              ThrowsMessage<OutputError>(StartsWith(path_.string() + ": table 'run' is not as")));
  edit("PRAGMA user_version = 1");
  EXPECT_TRUE(at::equal(refeed_file(), latents));
}

// Before version 3 a scale below 1 was no guidance: cond alone was asked, and was the answer.
TEST_F(Log, OfVersion2WithAScaleBelow1IsFedByItsOwnRule) {
  const Tensor latents = record(recipe_of(0.7, 1));
  edit("PRAGMA user_version = 4");
  edit("UPDATE run SET value = 0.5 WHERE key = 'guidance_scale'");
  EXPECT_THAT([&] { refeed_file(); },
              ThrowsMessage<std::runtime_error>(StrEq("step 1: the answer to one of the prompts is missing")));
  edit("PRAGMA user_version = 2");
  EXPECT_TRUE(at::equal(refeed_file(), latents));
}

TEST_F(Log, WithASettingThatWasChangedIsNamed) {
  for (const char* sql :
       {"UPDATE run SET value = 7.500000000000001 WHERE key = 'guidance_scale'",
        "UPDATE run SET value = 'blue apple' WHERE key = 'prompt'",
        "UPDATE run SET value = '7.5' WHERE key = 'guidance_scale'", "DELETE FROM run WHERE key = 'model_path'",
        "DELETE FROM run WHERE key = 'facts_sha256'", "UPDATE prompts SET last_step = 3", "DELETE FROM prompts"}) {
    fs::remove(path_);
    RunLog::create(path_, {"red apple", {}, "plain", 16, 16, "leading", {}, {}, {}, {}, recipe_of(0, 7.5)},
                   {.model = "tiny"}, {{.kind = "prompt", .text = "red apple", .tokens = "[]"}})
        .end("done", "");
    EXPECT_NO_THROW(RunLog::open(path_));
    edit(sql);
    EXPECT_THAT([&] { RunLog::open(path_); },
                ThrowsMessage<OutputError>(StrEq(path_.string() + ": its settings lack their checksum (facts_sha256 in "
                                                                  "table 'run'); the log is damaged")))
        << sql;
  }
}

TEST_F(Log, GivesItsOriginAndItsPromptsBack) {
  fs::remove(path_);
  Origin origin{.machine = machine_of("1.2", 2),
                .model = "tiny",
                .model_path = "/models/tiny",
                .frames = "{}",
                .number = "frames",
                .stop_at = 9,
                .stop_when_converged = 0.25,
                .would_stop = 0.5,
                .decoder = "full",
                .picture = "/x.png",
                .runs = 3,
                .max_batch = 1};
  RunLog::create(path_, {"red apple", {}, "plain", 16, 16, "leading", {}, {}, {}, {}, recipe_of(0, 1)}, origin,
                 {{.kind = "prompt", .text = "red apple", .tokens = "[1]"},
                  {.kind = "negative_prompt", .first_step = 2, .last_step = 3, .text = {}, .tokens = "[2]"}});
  const RunLog log = RunLog::open(path_);
  const Origin found = log.origin();
  EXPECT_EQ(found.machine, origin.machine);
  EXPECT_EQ(origin_json(found), origin_json(origin));
  ASSERT_EQ(log.prompts().size(), 2u);
  const PromptText negative = log.prompts()[1];
  EXPECT_EQ(negative.kind, "negative_prompt");
  EXPECT_EQ(negative.first_step, 2);
  EXPECT_THAT(negative.last_step, Optional(3));
  EXPECT_EQ(negative.text, std::nullopt);
  EXPECT_EQ(negative.tokens, "[2]");
}

TEST_F(Log, ThatIsGoneOnWithSaysSoAndNotThatItHadEnded) {
  record(recipe_of(0.7, 7.5), 3);
  const Machine machine = machine_of("2", 4);
  for (int64_t step : {4, 5}) {
    RunLog::go_on(path_, {.date = "today", .step = step, .ended = "stopped", .machine = machine}, "steps");
  }
  const RunLog log = RunLog::open(path_);
  EXPECT_EQ(log.stopped_at(), std::nullopt);
  EXPECT_FALSE(nlohmann::json::parse(log.facts_json()).contains("ended"));
  ASSERT_EQ(log.resumptions().size(), 2u);
  EXPECT_EQ(log.resumptions()[1].step, 5);
  EXPECT_THAT(log.resumptions()[1].ended, Optional(StrEq("stopped")));
  EXPECT_EQ(log.resumptions()[1].machine, machine);
}

TEST_F(Log, OfVersion4CanBeGoneOnWith) {
  record(recipe_of(0.7, 7.5));
  edit(
      "DROP TABLE prompts; DROP TABLE resumptions; DELETE FROM run WHERE key IN ('facts_sha256', 'number'); "
      "PRAGMA user_version = 4");
  EXPECT_EQ(RunLog::open(path_).resumptions().size(), 0u);
  EXPECT_EQ(RunLog::open(path_).prompts().size(), 0u);
  RunLog::go_on(path_, {.date = "today", .step = 4}, "frames");
  EXPECT_EQ(RunLog::open(path_).resumptions().size(), 1u);
  EXPECT_EQ(RunLog::open(path_).origin().number, "frames");
}

TEST_F(Log, OfWhichAPageIsGoneIsNamed) {
  record(recipe_of(0.7, 7.5));
  EXPECT_NO_THROW(RunLog::open(path_).check_whole());
  edit("DELETE FROM calls WHERE call = 2");
  EXPECT_THAT(
      [&] { RunLog::open(path_).check_whole(); },
      ThrowsMessage<OutputError>(StrEq(path_.string() + ": table 'calls' lacks some of its rows; the log is damaged")));
}

// A run that was killed in a write leaves a journal. Reading takes it into account and leaves both as they are.
TEST_F(Log, IsReadBesideItsJournalWithoutAChangeOfAnyFile) {
  const Recipe recipe = recipe_of(0.7, 7.5);
  record(recipe);
  const fs::path copy = folder_ / "killed.sqlite";
  {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    sqlite3_exec(database,
                 "PRAGMA cache_size = 1; PRAGMA synchronous = OFF; BEGIN; DELETE FROM calls WHERE call > 1; "
                 "UPDATE run SET value = 'pear' WHERE key = 'prompt'; "
                 "CREATE TABLE large AS SELECT randomblob(100000) AS bytes",
                 nullptr, nullptr, nullptr);  // more than the cache takes, so the file is written before the commit
    fs::copy_file(path_, copy);
    fs::copy_file(path_.string() + "-journal", copy.string() + "-journal");
    sqlite3_exec(database, "ROLLBACK", nullptr, nullptr, nullptr);
    sqlite3_close(database);
  }
  const auto bytes = [](const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string before = bytes(copy), journal = bytes(copy.string() + "-journal");
  ASSERT_NE(before, bytes(path_));
  EXPECT_EQ(RunLog::open(copy).calls(), kSteps);
  EXPECT_EQ(RunLog::open(copy).facts().prompt, "red apple");
  EXPECT_EQ(bytes(copy), before);
  EXPECT_EQ(bytes(copy.string() + "-journal"), journal);
}

TEST_F(Log, HasTheFactsOfTheRun) {
  record(recipe_of(0.5, 2));
  const auto facts = nlohmann::json::parse(RunLog::open(path_).facts_json());
  EXPECT_EQ(facts.at("prompt"), "red apple");
  EXPECT_EQ(facts.at("negative_prompt"), "blue");
  EXPECT_EQ(facts.at("prompt_syntax"), "plain");
  EXPECT_EQ(facts.at("version"), "1.2");
  EXPECT_EQ(facts.at("seed"), "7");
  EXPECT_EQ(facts.at("steps"), kSteps);
  EXPECT_EQ(facts.at("eta"), 0.5);
  EXPECT_EQ(facts.at("clip_sample_range"), nullptr);
  EXPECT_EQ(facts.at("ended"), "done");
}

TEST_F(Log, GivesStepsBackWithWhatTheyLack) {
  RunLog log = create(recipe_of(0, 1));
  StepRow first;
  first.step = 1;
  first.level = {950.0, 0.25, 0.75};
  first.latents_rms_change = 0.5;
  StepRow second = first;
  second.step = 2;
  second.level.timestep.reset();
  second.x0_rms_change = 0.125;
  second.guidance_norm = 3;
  log.add_step(first);
  log.add_step(second);
  log.set_frame(2, {1, 2, 4}, FrameChange{1.5, std::numeric_limits<double>::infinity(), 1});
  log.set_distances({{1, 0.75}});

  const auto rows = log.steps();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].level, first.level);
  EXPECT_EQ(rows[0].latents_rms_change, 0.5);
  EXPECT_EQ(rows[0].x0_rms_change, std::nullopt);
  EXPECT_THAT(rows[0].x0_rms_to_final, Optional(0.75));
  EXPECT_EQ(rows[0].guidance_norm, std::nullopt);
  EXPECT_FALSE(rows[0].change || rows[0].frame_ms);
  EXPECT_EQ(rows[1].level, second.level);
  EXPECT_THAT(rows[1].x0_rms_change, Optional(0.125));
  EXPECT_THAT(rows[1].guidance_norm, Optional(3.0));
  EXPECT_EQ(rows[1].x0_rms_to_final, std::nullopt);
  ASSERT_TRUE(rows[1].change && rows[1].frame_ms);
  EXPECT_EQ(rows[1].change->mean_abs, 1.5);
  EXPECT_EQ(rows[1].change->psnr, std::numeric_limits<double>::infinity());
  EXPECT_EQ(rows[1].change->compared_step, 1);
  EXPECT_THAT((std::vector{rows[1].frame_ms->decode, rows[1].frame_ms->encode, rows[1].frame_ms->write}),
              ElementsAre(1, 2, 4));
}

// ---- a log of another run -----------------------------------------------------------------------------------------

TEST_F(Log, OfAnotherSeedIsNamedAtTheFirstQuestion) {
  record(recipe_of(0, 1));
  const Recipe other = recipe_of(0, 1, Rng::cpu, 8);
  EXPECT_THAT([&] { feed(other); },
              ThrowsMessage<std::runtime_error>(
                  StrEq(path_.string() + ": call 1, step 1: the log was asked about latents " +
                        first_12_digits(asked_[0]) + ", this run asks about " + first_12_digits(other.init_noise) +
                        "; it is the log of another run, or of another build")));
}

TEST_F(Log, OfAnotherScheduleIsNamedAtTheFirstLevelThatDiffers) {
  record(recipe_of(0, 1));
  Recipe other = recipe_of(0, 1);
  other.schedule.levels[2].sigma = 0.75;  // reached by step 2, asked at in step 3
  Recipe logged = recipe_of(0, 1);
  EXPECT_THAT([&] { feed(other); },
              ThrowsMessage<std::runtime_error>(StrEq(path_.string() + ": call 3, step 3: the log was asked at sigma " +
                                                      nlohmann::json(logged.schedule.levels[2].sigma).dump() +
                                                      ", this run asks at sigma 0.75; it is the log of another run")));
}

TEST_F(Log, OfOtherOptionsIsNamedAtTheFirstQuestionThatDiffers) {
  record(recipe_of(0.7, 7.5));
  std::map<std::string, Recipe> others;
  for (const char* what : {"eta", "guidance", "clip", "type", "given"}) others.emplace(what, recipe_of(0.7, 7.5));
  others.at("eta").options.eta = 0.8;
  others.at("guidance").guidance.scale = 7;
  others.at("clip").options.clip_sample_range = 0.01;
  others.at("type").prediction_type = PredictionType::v_prediction;
  others.at("given").init_noise_given = true;
  for (const auto& [what, other] : others) {
    const auto feed_it = [&, &other = other] { feed(other); };
    EXPECT_THAT(feed_it, ThrowsMessage<std::runtime_error>(
                             StartsWith(path_.string() + ": call 2, step 2: the log was asked about latents " +
                                        first_12_digits(asked_[1]) + ", this run asks about ")))
        << what;
  }
}

// ---- a log that is not whole --------------------------------------------------------------------------------------

TEST_F(Log, CutOffAfterSomeCallSaysSoAndKeepsTheCallsBefore) {
  const Tensor latents = record(recipe_of(0.7, 7.5));
  edit("DELETE FROM calls WHERE call > 3");
  EXPECT_THAT([&] { refeed_file(); }, ThrowsMessage<std::runtime_error>(StrEq("the log ends before its run does")));
  // Resume: the network is asked again where the log ends.
  EXPECT_TRUE(at::equal(feed(recipe_of(0.7, 7.5)), latents));
}

TEST_F(Log, WithADamagedAnswerIsNamed) {
  const auto damage = [&](const std::string& branch) {
    return ThrowsMessage<std::runtime_error>(StrEq(path_.string() + ": call 2, step 2: the logged " + branch +
                                                   " answer lacks its checksum; the log is damaged"));
  };
  for (const std::string branch : {"cond", "uncond"}) {
    for (const std::string& bytes :
         {"zeroblob(length(" + branch + "))", "substr(" + branch + ", 1, 8)", std::string("x''")}) {
      record(recipe_of(0, 7.5));
      edit("UPDATE calls SET " + branch + " = " + bytes + " WHERE call = 2");
      EXPECT_THAT([&] { refeed_file(); }, damage(branch)) << bytes;
    }
  }
}

TEST_F(Log, WithoutItsStartIsNamed) {
  record(recipe_of(0, 1));
  edit("PRAGMA user_version = 4");  // whose settings have no checksum
  edit("DELETE FROM run WHERE key = 'init_noise'");
  EXPECT_THAT([&] { refeed_file(); },
              ThrowsMessage<OutputError>(StrEq(path_.string() + ": the log has no 'init_noise'")));
}

TEST_F(Log, WithATableThatWasChangedIsNamed) {
  for (const char* sql :
       {"DELETE FROM run WHERE key = 'eta'", "UPDATE run SET value = '[' WHERE key = 'levels'",
        "UPDATE run SET value = 'much' WHERE key = 'guidance_scale'",
        "UPDATE run SET value = 'seven' WHERE key = 'seed'", "UPDATE run SET value = 'gpu' WHERE key = 'rng'",
        "UPDATE run SET value = x'00' WHERE key = 'init_noise'"}) {
    record(recipe_of(0, 1));
    edit("PRAGMA user_version = 4");  // whose settings have no checksum
    edit(sql);
    EXPECT_THAT(
        [&] { refeed_file(); },
        ThrowsMessage<OutputError>(StartsWith(path_.string() + ": table 'run' is not as this program writes it: ")))
        << sql;
  }
}

TEST_F(Log, WhoseTableHasANumberThatIsNoneSaysWhich) {
  const std::string place = path_.string() + ": table 'run' is not as this program writes it: ";
  const std::map<std::string, std::string> damages{
      {"UPDATE run SET value = 'seven' WHERE key = 'seed'", "'seven' is no number"},
      {"UPDATE run SET value = '99999999999999999999' WHERE key = 'seed'", "'99999999999999999999' is no number"},
      {"DELETE FROM run WHERE key = 'levels'", "key 'levels' not found"}};
  for (const auto& [sql, said] : damages) {
    record(recipe_of(0, 1));
    edit("PRAGMA user_version = 4");
    edit(sql);
    EXPECT_THAT([&] { refeed_file(); }, ThrowsMessage<OutputError>(StrEq(place + said))) << sql;
  }
}

// Memory for numbers is taken when they are there: this shape is that of 4 TB.
TEST_F(Log, WhoseShapesAreNotThoseOfItsNumbersIsNamed) {
  for (const std::string shape :
       {"[1,4,1000000,250000]", "[-1,4,4,4]", "[9223372036854775808]", "{}", "", "[1,[4],4,4]"}) {
    record(recipe_of(0, 1));
    edit("UPDATE calls SET shape = '" + shape + "' WHERE call = 2");
    EXPECT_THAT([&] { refeed_file(); }, ThrowsMessage<std::runtime_error>(::testing::AllOf(
                                            StartsWith(path_.string() + ": call 2, step 2: a blob of "),
                                            ::testing::EndsWith(" for shape '" + shape + "'; the log is damaged"))))
        << shape;
  }
}

TEST_F(Log, OfANewerProgramIsRefusedByItsVersion) {
  record(recipe_of(0, 1));
  edit("PRAGMA user_version = 6");
  EXPECT_THAT(
      [&] { RunLog::open(path_); },
      ThrowsMessage<OutputError>(StrEq(path_.string() + ": a log of version 6, this program reads up to 5; use a "
                                                        "newer steplapse")));
}

TEST_F(Log, IsToldFromOtherFiles) {
  edit("CREATE TABLE notes (text)");
  EXPECT_THAT([&] { RunLog::open(path_); },
              ThrowsMessage<OutputError>(StrEq(path_.string() + ": not the log of a run")));
  std::ofstream(path_) << std::string(1000, 'a');
  EXPECT_THAT([&] { RunLog::open(path_); },
              ThrowsMessage<OutputError>(StrEq(path_.string() + ": file is not a database")));
  fs::remove(path_);
  EXPECT_THAT([&] { RunLog::open(path_); },
              ThrowsMessage<OutputError>(StrEq(path_.string() + ": unable to open database file")));
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(Log, IsNeverMadeOverAnother) {
  const Tensor latents = record(recipe_of(0, 1));
  EXPECT_THROW(RunLog::create(path_, {"", {}, "weights", 16, 16, "leading", {}, {}, {}, {}, recipe_of(0, 1)}, {}, {}),
               OutputError);
  EXPECT_TRUE(at::equal(refeed_file(), latents));
}

}  // namespace
}  // namespace steplapse
