#include <sqlite3.h>

#include <memory>

#include "base/file_io.h"
#include "base/temporary_folder.h"
#include "reader_targets.h"
#include "record/facts.h"
#include "record/history.h"
#include "record/origin.h"
#include "record/run_folder.h"
#include "record/run_state.h"
#include "seeds.h"
#include "steplapse/bundle.h"
#include "steplapse/run_log.h"
#include "steplapse/sample.h"
#include "support/bundle_maker.h"

namespace steplapse::fuzz {
namespace {

/// The log of a run of two steps.
std::string logged_run() {
  test_support::BundleMaker maker;
  const Bundle bundle = load_bundle(maker.write(), "cpu", {});
  const steplapse::TemporaryFolder folder;
  Settings settings;
  settings.prompt = "red apple";
  settings.steps = 2;
  settings.seed = 1;
  sample(bundle, settings, [](const Step&) { return true; }, {.folder = folder.path() / "run", .x0_frames = false});
  return content_of(log_in(folder.path() / "run"));
}

struct ColumnOfLog {
  const char *table, *column;
};
const std::vector<ColumnOfLog> kColumnsOfLog{{"run", "value"},
                                             {"calls", "call"},
                                             {"calls", "step"},
                                             {"calls", "sigma"},
                                             {"calls", "shape"},
                                             {"calls", "cond"},
                                             {"calls", "uncond"},
                                             {"calls", "timestep"},
                                             {"steps", "step"},
                                             {"steps", "sigma"},
                                             {"steps", "x0_compared_step"},
                                             {"prompts", "tokens"},
                                             {"prompts", "first_step"},
                                             {"prompts", "text"}};

/// A value of another kind or size, as SQL spells it.
std::string sql_value(Mutator& mutator) {
  static const std::vector<std::string> texts{"NULL",
                                              "''",
                                              "'x'",
                                              "'[1,4,1000000,1000000]'",
                                              "'[-1,4,4,4]'",
                                              "'{}'",
                                              "'[]'",
                                              "x'00'",
                                              "1e308",
                                              "-1.5",
                                              "zeroblob(8)",
                                              "'\x1b[31m'",
                                              "'{\"levels\": [1]}'",
                                              "zeroblob(1000000)",
                                              "'null'"};
  return mutator.one_in(3) ? std::to_string(mutator.number()) : mutator.one_of(texts);
}

/// Changes values by SQL. The database stays sound; a version before 5 has no checksum of its settings.
void change_values(const std::filesystem::path& file, Mutator& mutator) {
  sqlite3* handle = nullptr;
  sqlite3_open(file.c_str(), &handle);
  const std::unique_ptr<sqlite3, decltype(&sqlite3_close)> database(handle, &sqlite3_close);
  std::string sql = mutator.one_in(2) ? "PRAGMA user_version = 4;" : "";
  for (size_t changes = 1 + mutator.below(3); changes > 0; --changes) {
    const ColumnOfLog& place = mutator.one_of(kColumnsOfLog);
    const std::string table = place.table;
    sql += "UPDATE OR IGNORE " + table + " SET " + place.column + " = " + sql_value(mutator) +
           " WHERE rowid = (SELECT rowid FROM " + table + " ORDER BY random() LIMIT 1);";
    if (table == "run")  // a table without row ids
      sql = sql.substr(0, sql.rfind("rowid = ")) + "key = (SELECT key FROM run ORDER BY key LIMIT 1 OFFSET " +
            std::to_string(mutator.below(60)) + ");";
  }
  sqlite3_exec(database.get(), sql.c_str(), nullptr, nullptr, nullptr);
}

/// All that commands ask a log.
void read_log(const std::filesystem::path& folder) {
  state_of(folder);
  const RunLog log = RunLog::open(log_in(folder));
  log.facts_json();
  log.origin();
  log.prompts();
  log.resumptions();
  log.steps();
  log.stopped_at();
  log.has_changed_latents();
  log.check_whole();
  refeed(log);
}

}  // namespace

Target log_target() {
  const auto folder = std::make_shared<steplapse::TemporaryFolder>();
  return {[folder, seed = logged_run()](Mutator& mutator) {
            const auto file = log_in(folder->path());
            const bool by_sql = mutator.one_in(2);
            write_whole(file, by_sql ? seed : mutator.bytes(seed, seed));
            if (by_sql) change_values(file, mutator);
            read_log(folder->path());
          },
          /*plain_exceptions=*/true};
}

}  // namespace steplapse::fuzz
