#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/engine.h"
#include "steplapse/error.h"
#include "steplapse/recipe.h"
#include "steplapse/step_row.h"

namespace steplapse {

struct Facts;
struct Origin;
struct PromptText;
struct Resumption;

/// A log with nothing in it: its run was killed before it began.
struct EmptyLog : OutputError {
  using OutputError::OutputError;
};

/// The log of a run: one SQLite file, the only source of all else in a run folder; docs/run-folder.md has its tables. A kill
/// at any moment leaves a valid log of everything up to some call: what was last committed. One writer; not thread-safe.
///
/// A failure of the disk is OutputError with the path and SQLite's reason.
class RunLog {
 public:
  /// Makes a new log at `path`, which must not exist.
  static RunLog create(const std::filesystem::path& path, const Facts& facts, const Origin& origin,
                       const std::vector<PromptText>& prompts);

  /// Opens a log for reading. It changes no file: of a log that was cut off in a write, a copy is rolled back.
  /// @throws OutputError  there is none, its settings are damaged, or it is of a newer version, which the text names
  static RunLog open(const std::filesystem::path& path);

  /// Opens a log to go on with its run. What says that the run had ended is gone then, and a row says that it goes on.
  /// @param number  what frame files are numbered by, for a log before version 5
  static RunLog go_on(const std::filesystem::path& path, const Resumption& resumption, const std::string& number);

  void commit_when_due();  ///< commits if the last commit is 0.2 s ago; call it after every addition
  void commit();

  void add_call(const Question& question, const Answer& answer);
  void add_step(const StepRow& row);
  void set_frame(int64_t step, const FrameTimes& times, const std::optional<FrameChange>& change);
  void forget_frames(int64_t from_step);  ///< what set_frame said of this step and those after it
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

  std::string facts_json() const;           ///< the table `run` without its blobs, as one JSON object
  Facts facts() const;                      ///< the settings, with the recipe; for the library itself
  Recipe recipe() const;                    ///< what the trajectory was made from
  Origin origin() const;                    ///< where the run comes from; for the library itself, as are the next two
  std::vector<PromptText> prompts() const;  ///< none in a log before version 5
  std::vector<Resumption> resumptions() const;
  std::vector<StepRow> steps() const;
  int64_t calls() const;            ///< how many answers it has
  int64_t last_step_asked() const;  ///< the step of the last answer; 0 where there is none
  int64_t version() const;
  std::string facts_sha256() const;  ///< the checksum of all that was written when the run began, by which it is known
  std::optional<int64_t> stopped_at() const;  ///< the step after which a watcher ended the run
  Tensor latents_after(int64_t step) const;   ///< what a watcher made of them; undefined: they stayed as they were
  bool has_changed_latents() const;           ///< whether a watcher made others of them at any step

  /// Looks at all of the file. @throws OutputError  a page is damaged, or rows are missing
  void check_whole() const;

  /// A call as it was logged.
  struct Call {
    int64_t step;
    NoiseLevel level;
    std::string latents_sha256;  ///< of the latents asked about
    Answer answer;
  };
  /// None where the log ends before it. @throws std::runtime_error  an answer lacks its checksum
  std::optional<Call> call(int64_t number) const;

  /// The logged answer to this question, or none where the log ends.
  /// @throws std::runtime_error  the log's call of that number was asked something else: it names call, step, and both
  ///                             levels or checksums, so that a log of another run is never a wrong picture in silence.
  std::optional<Answer> recall(const Question& question) const;

  /// Whether the run was made where sums round otherwise: then its latents have other last bits here.
  bool rounds_otherwise() const;

  RunLog(RunLog&&) noexcept;
  ~RunLog();

 private:
  struct Database;
  explicit RunLog(std::unique_ptr<Database> database);
  std::string place_of(int64_t call, int64_t step) const;
  void check_version() const;
  void check_facts() const;
  std::unique_ptr<Database> database_;
};

/// Gives a trajectory what a log has for it: the answers, and the latents that a watcher put in place of the sampler's.
/// Beyond the log's end it gives nothing, so the network is asked.
///
/// Where sums round otherwise than where the run was made, questions need not have the logged checksums, but for the first
/// one; the levels must be the logged ones. What is made of the log then differs in its last bits.
class LogReader : public Watcher {
 public:
  /// @param last_step  after this step it gives nothing
  explicit LogReader(const RunLog& log, int64_t last_step = std::numeric_limits<int64_t>::max())
      : log_(log), last_step_(last_step), rounds_otherwise_(log.rounds_otherwise()) {}
  std::optional<Answer> recall(const Question& question) override;  ///< @throws as RunLog::recall
  Verdict stepped(const Step& step) override;

 private:
  const RunLog& log_;
  int64_t last_step_;
  bool rounds_otherwise_;
};

/// How much of its run a log gave when it was fed to its sampler again.
struct Refed {
  Tensor latents;     ///< the run's result; undefined where the log ends before its run does
  int64_t steps = 0;  ///< that were made
};

/// Feeds a log to its own sampler, asking no network. Where a watcher ended the run, it ends again.
/// @param watcher  is told each answer and each step, as when the run was made
/// @throws std::runtime_error  the log is of another run, at the first mismatch; and what the watcher throws
Refed refeed(const RunLog& log, Watcher& watcher);

/// The run's result: latents, [1, C, h, w].
/// @throws std::runtime_error  as above, and where the log ends before its run does
Tensor refeed(const RunLog& log);

}  // namespace steplapse
