#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace steplapse {

/// The folder of one run; docs/run-folder.md lists its files. Its one writer holds it (flock on run.lock).
class RunFolder {
 public:
  /// Makes the folder ready for a new run, and holds it. With `overwrite` the files of a run that is there are deleted, and
  /// no others; a run is known by its log.
  /// @throws OutputError  it holds a run already, or files named like one's; another process writes there; or the folder
  ///                      can't be made
  static RunFolder create(const std::filesystem::path& path, bool overwrite);

  /// Holds the folder of a run that is to go on. @throws OutputError  another process writes there; it can't be written
  static RunFolder of_run(const std::filesystem::path& path);

  /// Says in run.lock which run was made here: then another run's log is known. @param run  its log's facts_sha256
  void name_run(const std::string& run) const;

  /// Deletes what was written when the run ended: of one that goes on it is not true any more.
  void delete_ending() const;

  /// For a run that could not begin: deletes its files, and the folder if it was made for this run.
  void discard() noexcept;

  const std::filesystem::path& path() const { return path_; }

  RunFolder(RunFolder&& other) noexcept;
  ~RunFolder();

 private:
  RunFolder(std::filesystem::path path, int lock, bool made) : path_(std::move(path)), lock_(lock), made_(made) {}
  std::filesystem::path path_;
  int lock_;
  bool made_;
};

/// Does the checks of RunFolder::create for a run that is there, before anything is loaded. @throws OutputError
void refuse_existing_run(const std::filesystem::path& path, bool overwrite);

/// The folder of a run that the user names: the run's folder itself, or its run.sqlite.
/// @throws UsageError  no run is there; where runs lie in it, the text names them
std::filesystem::path existing_run(const std::filesystem::path& path);

/// The folders of runs at this path, by name: the path itself, or those directly in it. Empty where there is none.
/// @throws UsageError  the path cannot be read
std::vector<std::filesystem::path> runs_in(const std::filesystem::path& path);

std::filesystem::path log_in(const std::filesystem::path& run_folder);  ///< its run.sqlite

/// What RunFolder::name_run wrote; "" where nothing says it.
std::string run_named_in(const std::filesystem::path& run_folder);

/// Whether a program is writing this run now.
bool is_being_written(const std::filesystem::path& run_folder);

/// The folder of a command for which the user named none. It is made at once, so that no other command gets the name, and
/// deleted with the object if nothing is in it then.
class DefaultFolder {
 public:
  DefaultFolder() = default;
  DefaultFolder(const DefaultFolder&) = delete;
  DefaultFolder& operator=(const DefaultFolder&) = delete;
  ~DefaultFolder();

  /// runs/20261123-151200-red-apple-948574399; a number is added where that exists.
  /// @param dry  only named. @throws OutputError  it can't be made
  std::filesystem::path for_run(const std::string& prompt, uint64_t seed, bool dry);

  /// runs/20261124-093000-16-runs, for several.
  std::filesystem::path for_batch(size_t runs, bool dry);

 private:
  std::filesystem::path named(const std::string& name, bool dry);

  std::filesystem::path path_;  // empty: none was made
  bool made_parent_ = false;
};

std::string date_now();  ///< 2026-11-23T15:12:00+01:00

}  // namespace steplapse
