#include "steplapse/run_log.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/aten.h"
#include "base/sha256.h"
#include "base/sqlite.h"
#include "base/stopwatch.h"
#include "base/temporary_folder.h"
#include "base/text.h"
#include "record/facts.h"
#include "record/origin.h"
#include "sampling/schedule_json.h"
#include "steplapse/error.h"

namespace steplapse {

static_assert(std::endian::native == std::endian::little, "blobs in the log are little-endian");

namespace {

using sqlite::Blob;
using sqlite::Statement;

// Version 2 has the guidance interval, churn, the scale of fresh noise, and the training noise for levels between the listed
// ones: without them, replaying such a run could not reproduce it.
// Version 3 has guidance scales below 1 by the formula; before, such a run's answer was cond. cond may be NULL.
// Version 4 has the latents that a watcher changed.
// Version 5 has branches, all that is needed to go on with the run, and checksums of the settings and of changed latents.
constexpr int64_t kLogVersion = 5;

/// The keys of the table `run` that are written when the run ends. The checksum is that of all others.
constexpr std::array kKeysOfTheEnd{
    "ended",           "ended_reason",  "frame_steps",    "warning",       "denoiser_load_seconds",
    "network_seconds", "frame_seconds", "hidden_seconds", "total_seconds", "would_have_stopped"};
constexpr const char* kChecksum = "facts_sha256";

std::string keys_of_the_end() {
  std::string list;
  for (const std::string key : kKeysOfTheEnd) list += (list.empty() ? "'" : ", '") + key + "'";
  return list;
}

constexpr const char* kResumptions =
    "CREATE TABLE IF NOT EXISTS resumptions (id INTEGER PRIMARY KEY, date TEXT NOT NULL, step INTEGER NOT NULL, "
    "ended TEXT, ended_reason TEXT, machine TEXT NOT NULL)";

constexpr const char* kTables = R"(
CREATE TABLE run (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE calls (call INTEGER PRIMARY KEY, step INTEGER NOT NULL, timestep REAL, alpha REAL NOT NULL,
  sigma REAL NOT NULL, latents_sha256 TEXT NOT NULL, shape TEXT NOT NULL, cond BLOB,
  cond_sha256 TEXT, uncond BLOB, uncond_sha256 TEXT, denoiser_ms REAL NOT NULL);
CREATE TABLE steps (step INTEGER PRIMARY KEY, timestep REAL, alpha REAL NOT NULL, sigma REAL NOT NULL,
  latents_rms_change REAL NOT NULL, x0_rms_change REAL, x0_rms_to_final REAL, x0_mean_abs_change REAL,
  x0_psnr_change REAL, x0_compared_step INTEGER, guidance_norm REAL, denoiser_calls INTEGER NOT NULL,
  denoiser_ms REAL NOT NULL, decode_ms REAL, encode_ms REAL, write_ms REAL);
CREATE TABLE earlier (id INTEGER PRIMARY KEY, last_step INTEGER NOT NULL, settings TEXT NOT NULL, levels TEXT NOT NULL);
CREATE TABLE interventions (id INTEGER PRIMARY KEY, step INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT,
  latents BLOB, shape TEXT, latents_sha256 TEXT);
CREATE TABLE prompts (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, first_step INTEGER NOT NULL, last_step INTEGER,
  text TEXT, tokens TEXT NOT NULL);
)";

Blob bytes_of(const std::vector<double>& numbers) {
  return {{reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double)}};
}

std::vector<double> numbers_of(const std::string& bytes) {
  if (bytes.size() % sizeof(double) != 0)
    throw std::runtime_error("a blob of " + std::to_string(bytes.size()) + " bytes");
  std::vector<double> numbers(bytes.size() / sizeof(double));
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(numbers.data()));
  return numbers;
}

/// A setting as SQLite keeps it.
template <typename Put>
void put_json(Put put, const std::string& key, const nlohmann::ordered_json& value) {
  if (key == "seed" || key == "noise_seed")  // text: SQLite's integers end at 2^63
    return put(key, std::to_string(value.get<uint64_t>()));
  if (value.is_null()) return put(key, std::optional<double>());
  if (value.is_string()) return put(key, value.get<std::string>());
  if (value.is_number_float()) return put(key, value.get<double>());
  put(key, value.get<int64_t>());
}

Blob bytes_of(const Tensor& contiguous) {
  return {{static_cast<const char*>(contiguous.const_data_ptr()), contiguous.nbytes()}};
}

std::string checksum(const Tensor& contiguous) { return sha256(bytes_of(contiguous).bytes); }

std::string shape_json(const Tensor& x) { return nlohmann::json(x.sizes().vec()).dump(); }

/// Takes no memory for numbers that are not there. @param place  begins the message where they don't fit
Tensor tensor_of(const std::string& bytes, const std::string& shape_json, const std::string& place = "") {
  const nlohmann::json shape = nlohmann::json::parse(shape_json, nullptr, /*allow_exceptions=*/false);
  const auto is_side = [](const nlohmann::json& side) {
    return side.is_number_unsigned() && side.get<uint64_t>() <= INT32_MAX;
  };
  uint64_t size = sizeof(float);
  bool fits = shape.is_array() && std::all_of(shape.begin(), shape.end(), is_side);
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    fits = !__builtin_mul_overflow(size, shape[i].get<uint64_t>(), &size) && size <= bytes.size();
  }
  if (!fits || size != bytes.size())
    throw std::runtime_error(place + "a blob of " + std::to_string(bytes.size()) + " bytes for shape " +
                             in_quotes(shape_json, 40) + "; the log is damaged");
  Tensor tensor = at::empty(shape.get<std::vector<int64_t>>(), at::kFloat);
  std::copy(bytes.begin(), bytes.end(), static_cast<char*>(tensor.mutable_data_ptr()));
  return tensor;
}

/// The shortest text that reads back as the same number.
std::string exact_text(double value) { return nlohmann::json(value).dump(); }

}  // namespace

struct RunLog::Database : sqlite::Database {
  using sqlite::Database::Database;
  explicit Database(const std::filesystem::path& path, std::unique_ptr<TemporaryFolder> copy)
      : sqlite::Database(path, SQLITE_OPEN_READWRITE, copy->path() / "log"), copy_(std::move(copy)) {}
  ~Database() {
    try {
      commit();
    } catch (const std::exception&) {  // who wants to know calls commit
    }
  }

  /// Rows go in together: a commit waits for the disk several times, which is longer than a small model's step takes.
  template <typename... Values>
  void write(const char* sql, const Values&... values) {
    if (!in_transaction()) execute("BEGIN");
    sqlite::run(*this, sql, values...);
  }
  void commit() {
    if (in_transaction()) execute("COMMIT");
    since_commit.restart();
  }

  Stopwatch since_commit;

 private:
  std::unique_ptr<TemporaryFolder> copy_;  // what is open, in place of the log itself
};

RunLog::RunLog(std::unique_ptr<Database> database) : database_(std::move(database)) {}
RunLog::RunLog(RunLog&&) noexcept = default;
RunLog::~RunLog() = default;

RunLog RunLog::create(const std::filesystem::path& path, const Facts& facts, const Origin& origin,
                      const std::vector<PromptText>& prompts) {
  RunLog log(std::make_unique<Database>(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  Database& database = *log.database_;
  // A rollback journal, not WAL: a copy of the file alone stays whole, and network file systems work.
  database.execute("PRAGMA journal_mode = DELETE; PRAGMA synchronous = NORMAL; BEGIN;");
  database.execute("PRAGMA user_version = " + std::to_string(kLogVersion));
  database.execute(kTables);
  database.execute(kResumptions);

  const Recipe& recipe = facts.recipe;
  const auto put = [&](const std::string& key, const auto& value) {
    sqlite::run(database, "INSERT INTO run VALUES (?, ?)", key, value);
  };
  for (const auto& rows : {origin_json(origin), settings_json(facts)}) {
    for (const auto& [key, value] : rows.items()) put_json(put, key, value);
  }
  put("levels", schedule_to_json(recipe.schedule).dump());
  if (!recipe.schedule.is_flow()) put("alphas_cumprod", bytes_of(recipe.schedule.alphas_cumprod));
  put("init_noise", bytes_of(recipe.init_noise));
  put("init_noise_shape", shape_json(recipe.init_noise));
  put("init_noise_given", static_cast<int64_t>(recipe.init_noise_given));
  for (const Facts* branch = &facts; branch->before; branch = branch->before.get()) {
    sqlite::run(database, "INSERT INTO earlier (last_step, settings, levels) VALUES (?, ?, ?)",
                branch->recipe.branched_after, settings_json(*branch->before).dump(),
                schedule_to_json(branch->before->recipe.schedule).dump());
  }
  for (const PromptText& prompt : prompts) {
    sqlite::run(database, "INSERT INTO prompts (kind, first_step, last_step, text, tokens) VALUES (?, ?, ?, ?, ?)",
                prompt.kind, prompt.first_step, prompt.last_step, prompt.text, prompt.tokens);
  }
  put(kChecksum, log.facts_sha256());
  database.execute("COMMIT");
  return log;
}

namespace {

/// The log and its journal, where SQLite may roll it back.
std::unique_ptr<TemporaryFolder> copy_of(const std::filesystem::path& log) {
  auto copy = std::make_unique<TemporaryFolder>();
  std::error_code error;
  std::filesystem::copy_file(log, copy->path() / "log", error);
  if (!error) std::filesystem::copy_file(log.string() + "-journal", copy->path() / "log-journal", error);
  if (error) throw OutputError(log.string() + ": cannot copy: " + error.message());
  return copy;
}

}  // namespace

RunLog RunLog::open(const std::filesystem::path& path) {
  RunLog log(std::make_unique<Database>(path, SQLITE_OPEN_READONLY));
  try {
    log.check_version();
  } catch (const OutputError&) {
    std::error_code unreadable;
    if (!std::filesystem::exists(path.string() + "-journal", unreadable)) throw;
    log.database_ = std::make_unique<Database>(path, copy_of(path));  // SQLite rolls back where it can write
    log.check_version();
  }
  if (log.version() >= 5) log.check_facts();
  return log;
}

RunLog RunLog::go_on(const std::filesystem::path& path, const Resumption& resumption, const std::string& number) {
  RunLog log(std::make_unique<Database>(path, SQLITE_OPEN_READWRITE));
  log.check_version();
  Database& database = *log.database_;
  database.execute(std::string("BEGIN; ") + kResumptions);
  sqlite::run(database, "INSERT INTO resumptions (date, step, ended, ended_reason, machine) VALUES (?, ?, ?, ?, ?)",
              resumption.date, resumption.step, resumption.ended, resumption.ended_reason,
              machine_json(resumption.machine).dump());
  sqlite::run(database, "INSERT OR IGNORE INTO run VALUES ('number', ?)", number);
  database.execute("DELETE FROM run WHERE key IN (" + keys_of_the_end() +
                   "); "
                   "DELETE FROM interventions WHERE kind = 'stop'; UPDATE steps SET x0_rms_to_final = NULL; COMMIT");
  return log;
}

void RunLog::check_version() const {
  const int64_t found = version();
  const std::string place = database_->path().string();
  if (!Statement(*database_, "SELECT 1 FROM sqlite_schema").next())
    throw EmptyLog(place + ": is empty: its run ended before it began, and nothing is known of it");
  if (found < 1) throw OutputError(place + ": not the log of a run");
  if (found <= kLogVersion) return;
  throw OutputError(place + ": a log of version " + std::to_string(found) + ", this program reads up to " +
                    std::to_string(kLogVersion) + "; use a newer steplapse");
}

/// Of all that was written when the run began.
std::string RunLog::facts_sha256() const {
  std::string all;
  const auto add = [&](const std::string& sql, int columns) {
    Statement rows(*database_, sql.c_str());
    while (rows.next()) {
      for (int column = 0; column < columns; ++column) {
        const int type = rows.type(column);
        const std::string value =  // SQLite's text of a number leaves out its last bits
            type == SQLITE_FLOAT ? std::to_string(std::bit_cast<uint64_t>(rows.real(column))) : rows.text(column);
        all += std::to_string(type) + " " + std::to_string(value.size()) + " " + value;
      }
    }
  };
  add("SELECT key, value FROM run WHERE key NOT IN ('" + std::string(kChecksum) + "', " + keys_of_the_end() +
          ") ORDER BY key",
      2);
  add("SELECT kind, first_step, last_step, text, tokens FROM prompts ORDER BY id", 5);
  add("SELECT last_step, settings, levels FROM earlier ORDER BY id", 3);
  return sha256(all);
}

void RunLog::check_facts() const {
  Statement row(*database_, "SELECT value FROM run WHERE key = 'facts_sha256'");
  if (row.next() && row.text(0) == facts_sha256()) return;
  throw OutputError(database_->path().string() +
                    ": its settings lack their checksum (facts_sha256 in table 'run'); the log is damaged");
}

void RunLog::check_whole() const {
  const std::string place = database_->path().string();
  Statement check(*database_, "PRAGMA integrity_check(1)");
  if (check.next() && check.text(0) != "ok")
    throw OutputError(place + ": " + escaped(check.text(0)) + "; the log is damaged");
  for (const std::string table : {"calls", "steps"}) {
    const std::string number = table.substr(0, 4);  // call, step
    Statement row(*database_, ("SELECT count(*), ifnull(max(" + number + "), 0) FROM " + table).c_str());
    row.next();
    if (row.integer(0) != row.integer(1))
      throw OutputError(place + ": table '" + table + "' lacks some of its rows; the log is damaged");
  }
}

int64_t RunLog::version() const {
  Statement version(*database_, "PRAGMA user_version");
  return version.next() ? version.integer(0) : 0;
}

void RunLog::commit_when_due() {
  if (database_->since_commit.milliseconds() > 200) database_->commit();
}

void RunLog::commit() { database_->commit(); }

void RunLog::add_call(const Question& question, const Answer& answer) {
  const Tensor x = question.x.contiguous();
  struct Branch {
    explicit Branch(const Tensor& answer) {
      if (!answer.defined()) return;
      numbers = answer.contiguous();
      bytes = bytes_of(numbers);
      sha256 = checksum(numbers);
    }
    Tensor numbers;
    std::optional<Blob> bytes;
    std::optional<std::string> sha256;
  };
  const Branch cond(answer.cond), uncond(answer.uncond);
  database_->write("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", question.call, question.step,
                   question.level.timestep, question.level.alpha, question.level.sigma, checksum(x), shape_json(x),
                   cond.bytes, cond.sha256, uncond.bytes, uncond.sha256, answer.milliseconds);
}

void RunLog::add_step(const StepRow& row) {
  database_->write(
      "INSERT INTO steps (step, timestep, alpha, sigma, latents_rms_change, x0_rms_change, guidance_norm, "
      "denoiser_calls, denoiser_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      row.step, row.level.timestep, row.level.alpha, row.level.sigma, row.latents_rms_change, row.x0_rms_change,
      row.guidance_norm, row.denoiser_calls, row.denoiser_ms);
}

void RunLog::set_frame(int64_t step, const FrameTimes& times, const std::optional<FrameChange>& change) {
  database_->write(
      "UPDATE steps SET decode_ms = ifnull(decode_ms, 0) + ?, encode_ms = ifnull(encode_ms, 0) + ?, "
      "write_ms = ifnull(write_ms, 0) + ? WHERE step = ?",
      times.decode, times.encode, times.write, step);
  if (!change) return;
  database_->write("UPDATE steps SET x0_mean_abs_change = ?, x0_psnr_change = ?, x0_compared_step = ? WHERE step = ?",
                   change->mean_abs, change->psnr, change->compared_step, step);
}

void RunLog::forget_frames(int64_t from_step) {
  database_->write(
      "UPDATE steps SET x0_mean_abs_change = NULL, x0_psnr_change = NULL, x0_compared_step = NULL, decode_ms = NULL, "
      "encode_ms = NULL, write_ms = NULL WHERE step >= ?",
      from_step);
}

void RunLog::set_distances(const std::map<int64_t, double>& x0_rms_to_final) {
  for (const auto& [step, distance] : x0_rms_to_final) {
    database_->write("UPDATE steps SET x0_rms_to_final = ? WHERE step = ?", distance, step);
  }
}

void RunLog::add_stop(int64_t step, const std::string& reason) {
  database_->write("INSERT INTO interventions (step, kind, reason) VALUES (?, 'stop', ?)", step, reason);
}

void RunLog::add_latents(int64_t step, const Tensor& x, const std::string& reason) {
  const Tensor latents = x.contiguous();
  database_->write(
      "INSERT INTO interventions (step, kind, reason, latents, shape, latents_sha256) VALUES (?, 'latents', ?, ?, ?, "
      "?)",
      step, reason, bytes_of(latents), shape_json(latents), checksum(latents));
}

namespace {

const std::string& checked_key(const std::string& key) {
  if (std::find(kKeysOfTheEnd.begin(), kKeysOfTheEnd.end(), key) != kKeysOfTheEnd.end()) return key;
  throw std::logic_error("'" + key + "' is not among the keys that are written when a run ends");
}

}  // namespace

void RunLog::set_totals(const std::map<std::string, double>& totals) {
  for (const auto& [key, value] : totals) database_->write("INSERT INTO run VALUES (?, ?)", checked_key(key), value);
}

void RunLog::set_texts(const std::map<std::string, std::string>& texts) {
  for (const auto& [key, value] : texts) database_->write("INSERT INTO run VALUES (?, ?)", checked_key(key), value);
}

void RunLog::end(const std::string& status, const std::string& reason) {
  database_->write("INSERT INTO run VALUES ('ended', ?), ('ended_reason', ?)", status, reason);
  database_->commit();
}

std::string RunLog::facts_json() const {
  nlohmann::json facts = nlohmann::json::object();
  Statement rows(*database_, "SELECT key, value FROM run WHERE typeof(value) <> 'blob'");
  while (rows.next()) {
    nlohmann::json& value = facts[rows.text(0)];
    if (rows.type(1) == SQLITE_INTEGER) value = rows.integer(1);
    if (rows.type(1) == SQLITE_FLOAT) value = rows.real(1);
    if (rows.type(1) == SQLITE_TEXT) value = rows.text(1);
  }
  return facts.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

namespace {

/// The runs that a branch goes out from. They have its noise.
void add_earlier(sqlite::Database& database, Facts& facts) {
  Statement rows(database, "SELECT last_step, settings, levels FROM earlier ORDER BY id DESC");
  std::shared_ptr<const Facts> before;
  int64_t branched_after = 0;
  const auto link = [&](Facts& branch) {
    if (before) branch_off(branch, before, branched_after);
  };
  while (rows.next()) {
    Facts earlier = facts_of(nlohmann::json::parse(rows.text(1)), kLogVersion);
    earlier.recipe.schedule = schedule_from_json(nlohmann::json::parse(rows.text(2)));
    earlier.recipe.schedule.alphas_cumprod = facts.recipe.schedule.alphas_cumprod;
    earlier.recipe.init_noise = facts.recipe.init_noise;
    earlier.recipe.init_noise_given = facts.recipe.init_noise_given;
    link(earlier);
    branched_after = rows.integer(0);
    before = std::make_shared<const Facts>(std::move(earlier));
  }
  link(facts);
}

/// What `read` makes of the table `run`; what it does not understand is an OutputError.
template <typename Read>
auto understood(const std::filesystem::path& path, Read read) {
  try {
    return read();
  } catch (const std::exception& error) {
    std::string reason = failure_of(error).message;
    if (dynamic_cast<const nlohmann::json::exception*>(&error)) reason = reason.substr(reason.find("] ") + 2);
    throw OutputError(path.string() + ": table 'run' is not as this program writes it: " + reason);
  }
}

}  // namespace

Facts RunLog::facts() const {
  const nlohmann::json logged = nlohmann::json::parse(facts_json());
  Statement noise(*database_, "SELECT value FROM run WHERE key = 'init_noise'");
  if (!noise.next()) throw OutputError(database_->path().string() + ": the log has no 'init_noise'");
  Statement alphas(*database_, "SELECT value FROM run WHERE key = 'alphas_cumprod'");
  const bool has_alphas = alphas.next();
  return understood(database_->path(), [&] {
    Facts facts = facts_of(logged, version());
    Recipe& recipe = facts.recipe;
    recipe.schedule = schedule_from_json(nlohmann::json::parse(logged.at("levels").get<std::string>()));
    if (has_alphas) recipe.schedule.alphas_cumprod = numbers_of(alphas.text(0));
    recipe.init_noise = tensor_of(noise.text(0), logged.at("init_noise_shape"));
    recipe.init_noise_given = logged.at("init_noise_given") == 1;
    if (version() >= 5) add_earlier(*database_, facts);
    return facts;
  });
}

Origin RunLog::origin() const {
  return understood(database_->path(), [&] { return origin_of(nlohmann::json::parse(facts_json())); });
}

std::vector<PromptText> RunLog::prompts() const {
  std::vector<PromptText> all;
  if (version() < 5) return all;
  Statement rows(*database_, "SELECT kind, first_step, last_step, text, tokens FROM prompts ORDER BY id");
  while (rows.next()) {
    PromptText prompt{.kind = rows.text(0), .first_step = rows.integer(1), .tokens = rows.text(4)};
    if (!rows.is_null(2)) prompt.last_step = rows.integer(2);
    if (!rows.is_null(3)) prompt.text = rows.text(3);
    all.push_back(std::move(prompt));
  }
  return all;
}

std::vector<Resumption> RunLog::resumptions() const {
  std::vector<Resumption> all;
  if (Statement table(*database_, "SELECT 1 FROM sqlite_master WHERE name = 'resumptions'"); !table.next()) return all;
  Statement rows(*database_, "SELECT date, step, ended, ended_reason, machine FROM resumptions ORDER BY id");
  while (rows.next()) {
    const nlohmann::json machine = nlohmann::json::parse(rows.text(4), nullptr, /*allow_exceptions=*/false);
    Resumption resumption{.date = rows.text(0), .step = rows.integer(1)};
    if (!rows.is_null(2)) resumption.ended = rows.text(2);
    if (!rows.is_null(3)) resumption.ended_reason = rows.text(3);
    resumption.machine = understood(database_->path(), [&] { return machine_of(machine); });
    all.push_back(std::move(resumption));
  }
  return all;
}

int64_t RunLog::calls() const {
  Statement row(*database_, "SELECT count(*) FROM calls");
  return row.next() ? row.integer(0) : 0;
}

int64_t RunLog::last_step_asked() const {
  Statement row(*database_, "SELECT ifnull(max(step), 0) FROM calls");
  return row.next() ? row.integer(0) : 0;
}

Recipe RunLog::recipe() const { return facts().recipe; }

std::vector<StepRow> RunLog::steps() const {
  std::vector<StepRow> all;
  Statement rows(*database_, "SELECT * FROM steps ORDER BY step");
  while (rows.next()) {
    StepRow row;
    row.step = rows.integer(0);
    row.level = {rows.maybe_real(1), rows.real(2), rows.real(3)};
    row.latents_rms_change = rows.real(4);
    row.x0_rms_change = rows.maybe_real(5);
    row.x0_rms_to_final = rows.maybe_real(6);
    if (!rows.is_null(9)) row.change = {rows.real(7), rows.real(8), rows.integer(9)};
    row.guidance_norm = rows.maybe_real(10);
    row.denoiser_calls = rows.integer(11);
    row.denoiser_ms = rows.real(12);
    if (!rows.is_null(13)) row.frame_ms = {rows.real(13), rows.real(14), rows.real(15)};
    all.push_back(row);
  }
  return all;
}

std::optional<int64_t> RunLog::stopped_at() const {
  Statement row(*database_, "SELECT step FROM interventions WHERE kind = 'stop'");
  return row.next() ? std::optional(row.integer(0)) : std::nullopt;
}

Tensor RunLog::latents_after(int64_t step) const {
  if (version() < 4) return {};
  Statement row(*database_, "SELECT * FROM interventions WHERE kind = 'latents' AND step = ?", step);
  if (!row.next()) return {};
  const std::string bytes = row.text(4);
  if (version() >= 5 && sha256(bytes) != row.text(6)) {
    throw OutputError(database_->path().string() + ": the changed latents after step " + std::to_string(step) +
                      " lack their checksum; the log is damaged");
  }
  return tensor_of(bytes, row.text(5), database_->path().string() + ": ");
}

bool RunLog::has_changed_latents() const {
  return Statement(*database_, "SELECT 1 FROM interventions WHERE kind = 'latents'").next();
}

std::optional<RunLog::Call> RunLog::call(int64_t number) const {
  Statement row(*database_,
                "SELECT step, timestep, alpha, sigma, latents_sha256, shape, cond, cond_sha256, uncond, uncond_sha256, "
                "denoiser_ms FROM calls WHERE call = ?",
                number);
  if (!row.next()) return std::nullopt;
  const auto checked = [&](int column, const std::string& branch) {
    const std::string bytes = row.text(column);
    if (sha256(bytes) == row.text(column + 1))
      return tensor_of(bytes, row.text(5), place_of(number, row.integer(0)) + ": ");
    throw std::runtime_error(place_of(number, row.integer(0)) + ": the logged " + branch +
                             " answer lacks its checksum; the log is damaged");
  };
  Call call{row.integer(0), {row.maybe_real(1), row.real(2), row.real(3)}, row.text(4), {}};
  if (!row.is_null(6)) call.answer.cond = checked(6, "cond");
  if (!row.is_null(8)) call.answer.uncond = checked(8, "uncond");
  call.answer.milliseconds = row.real(10);
  return call;
}

std::optional<Answer> RunLog::recall(const Question& question) const {
  const auto logged = call(question.call);
  if (!logged) return std::nullopt;
  const std::string place = place_of(question.call, question.step);
  if (logged->level != question.level) {
    throw std::runtime_error(place + ": the log was asked at sigma " + exact_text(logged->level.sigma) +
                             ", this run asks at sigma " + exact_text(question.level.sigma) +
                             "; it is the log of another run");
  }
  const std::string asked = checksum(question.x.contiguous()), &known = logged->latents_sha256;
  if (asked != known) {
    throw std::runtime_error(place + ": the log was asked about latents " + known.substr(0, 12) +
                             ", this run asks about " + asked.substr(0, 12) +
                             "; it is the log of another run, or of another build");
  }
  return logged->answer;
}

std::string RunLog::place_of(int64_t call, int64_t step) const {
  return database_->path().string() + ": call " + std::to_string(call) + ", step " + std::to_string(step);
}

// A log before version 5 does not say where it was made, nor has it a checksum of its settings.
bool RunLog::rounds_otherwise() const { return version() >= 5 && steplapse::rounds_otherwise(origin().machine); }

namespace {

/// Levels that a sampler chooses itself are sums too.
bool are_alike(const NoiseLevel& logged, const NoiseLevel& asked) {
  constexpr double kMost = 1e-3;
  return logged == asked || std::abs(noise_ratio(logged) - noise_ratio(asked)) <= kMost * noise_ratio(logged);
}

}  // namespace

std::optional<Answer> LogReader::recall(const Question& question) {
  if (question.step > last_step_) return std::nullopt;
  if (!rounds_otherwise_ || question.call == 1) return log_.recall(question);
  const auto logged = log_.call(question.call);
  if (!logged) return std::nullopt;
  return are_alike(logged->level, question.level) ? logged->answer : log_.recall(question);  // which throws
}

Verdict LogReader::stepped(const Step& step) {
  return {.x = step.number > last_step_ ? Tensor() : log_.latents_after(step.number)};
}

namespace {

/// The log has no answer to a question, and there is no network.
struct LogEnds : std::runtime_error {
  LogEnds() : std::runtime_error("the log ends before its run does") {}
};

/// The log's own verdicts, and whoever else wants to know.
class Refeeding : public LogReader {
 public:
  Refeeding(const RunLog& log, Watcher& watcher) : LogReader(log), watcher_(watcher), stopped_at_(log.stopped_at()) {}

  void answered(const Question& question, const Answer& answer) override { watcher_.answered(question, answer); }
  Verdict stepped(const Step& step) override {
    watcher_.stepped(step);
    steps_ = step.number;
    Verdict verdict = LogReader::stepped(step);
    verdict.stop = stopped_at_ == step.number;
    return verdict;
  }
  void decided(const Step& step, const Verdict& verdict) override { watcher_.decided(step, verdict); }
  int64_t steps() const { return steps_; }

 private:
  Watcher& watcher_;
  std::optional<int64_t> stopped_at_;
  int64_t steps_ = 0;
};

}  // namespace

Refed refeed(const RunLog& log, Watcher& watcher) {
  const Recipe recipe = log.recipe();
  Refeeding refeeding(log, watcher);
  const auto no_network = [](auto&&...) -> Tensor { throw LogEnds(); };
  Engine engine(no_network, recipe.prediction_type);
  engine.add_by_steps(start(recipe), bare_guidance(recipe), &refeeding);
  const Outcome outcome = engine.run().front();
  try {
    if (outcome.error) std::rethrow_exception(outcome.error);
  } catch (const LogEnds&) {
  }
  return {outcome.latents, refeeding.steps()};
}

Tensor refeed(const RunLog& log) {
  Watcher nobody;
  const Refed refed = refeed(log, nobody);
  if (!refed.latents.defined()) throw LogEnds();
  return refed.latents;
}

}  // namespace steplapse
