#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/engine.h"
#include "steplapse/recipe.h"
#include "steplapse/step_row.h"

namespace steplapse {

struct Facts;

/// The log of a run: one SQLite file, the only source of all else in a run folder; docs/run-folder.md has its tables. A kill
/// at any moment leaves a valid log of everything up to some call: what was last committed. One writer; not thread-safe.
///
/// A failure of the disk is OutputError with the path and SQLite's reason.
class RunLog {
 public:
  /// Makes a new log at `path`, which must not exist. @param texts  further facts, such as versions and the model
  static RunLog create(const std::filesystem::path& path, const Facts& facts,
                       const std::map<std::string, std::string>& texts);

  /// Opens a log for reading. @throws OutputError  there is none, or it is of a newer version, which the text names
  static RunLog open(const std::filesystem::path& path);

  void commit_when_due();  ///< commits if the last commit is 0.2 s ago; call it after every addition
  void commit();

  void add_call(const Question& question, const Answer& answer);
  void add_step(const StepRow& row);
  void set_frame(int64_t step, const FrameTimes& times, const std::optional<FrameChange>& change);
  void set_distances(const std::map<int64_t, double>& x0_rms_to_final);
  /// A watcher ended the run after this step, and why.
  void add_stop(int64_t step, const std::string& reason);
  /// A watcher changed the latents that the run went on with after this step, and why.
  void add_latents(int64_t step, const Tensor& x, const std::string& reason);
  /// Seconds and other numbers, for people and views.
  void set_totals(const std::map<std::string, double>& totals);
  void set_texts(const std::map<std::string, std::string>& texts);
  /// The last row: `done`, `stopped`, `interrupted`, `failed`, with a reason for people. Commits.
  void end(const std::string& status, const std::string& reason);

  std::string facts_json() const;  ///< the table `run` without its blobs, as one JSON object
  Recipe recipe() const;
  std::vector<StepRow> steps() const;
  std::optional<int64_t> stopped_at() const;  ///< the step after which a watcher ended the run
  Tensor latents_after(int64_t step) const;   ///< what a watcher made of them; undefined: they stayed as they were

  /// The logged answer to this question, or none where the log ends.
  /// @throws std::runtime_error  the log's call of that number was asked something else: it names call, step, and both
  ///                             levels or checksums, so that a log of another run is never a wrong picture in silence.
  std::optional<Answer> recall(const Question& question) const;

  RunLog(RunLog&&) noexcept;
  ~RunLog();

 private:
  struct Database;
  explicit RunLog(std::unique_ptr<Database> database);
  int64_t version() const;
  std::unique_ptr<Database> database_;
};

/// Feeds a log to its own sampler and gives the latents it ends with, asking no network.
/// @throws std::runtime_error  the log ends before its sampler does, or is of another run, at the first mismatch.
Tensor refeed(const RunLog& log);

}  // namespace steplapse
