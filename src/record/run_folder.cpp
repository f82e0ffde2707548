#include "record/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <utility>

#include "base/confinement.h"
#include "base/file_io.h"
#include "base/png_reader.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

// Deleted in this order: the log, by which a folder is known to hold a run, goes last.
constexpr std::array kRunFiles{"run.json",          "steps.csv",          "final.png",
                               "final.safetensors", "run.sqlite-journal", "run.sqlite"};
constexpr std::array kEnding{"run.json", "steps.csv", "final.png", "final.safetensors"};
constexpr std::array kFrameKinds{"x0", "xt", "diff", "signed_diff", "cond", "uncond"};

/// @return whether it was not there before
bool make_folders(const fs::path& path) {
  std::error_code error;
  const bool made = fs::create_directories(path, error);
  if (error) throw OutputError(path.string() + ": cannot make the folder: " + error.message());
  return made;
}

int lock(const fs::path& path) {
  const int file = ::open((path / "run.lock").c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (file < 0 && errno == ELOOP)
    throw OutputError((path / "run.lock").string() + ": is a symbolic link, expected a regular file or none");
  if (file < 0) throw OutputError((path / "run.lock").string() + ": cannot write: " + std::strerror(errno));
  if (::flock(file, LOCK_EX | LOCK_NB) == 0) return file;
  const int why = errno;
  ::close(file);
  if (why == EWOULDBLOCK)
    throw OutputError(path.string() + ": another steplapse is writing a run there; name another `out`");
  throw OutputError((path / "run.lock").string() + ": cannot lock: " + std::strerror(why));
}

/// A file that write_whole was killed in has this behind its name.
constexpr const char* kUnfinished = ".part";

/// 0007.png: four digits or more.
bool is_frame(fs::path file) {
  if (file.extension() == kUnfinished) file = file.stem();
  const std::string digits = file.stem().string();
  return file.extension() == ".png" && digits.size() >= 4 &&
         digits.find_first_not_of("0123456789") == std::string::npos;
}

/// A frame says so itself; the user's own picture may have a frame's name.
bool is_own_frame(const fs::path& file) {
  if (!is_frame(file) || !fs::is_regular_file(fs::symlink_status(file))) return false;
  if (file.extension() == kUnfinished) return true;
  try {
    return read_png(file).texts.contains("steplapse");
  } catch (const UsageError&) {
    return false;
  }
}

bool is_real_folder(const fs::path& path) { return fs::is_directory(fs::symlink_status(path)); }

/// Deletes the files of a run, and no other: the folder may hold the user's own, and links to what is elsewhere.
void delete_run(const fs::path& path) {
  for (const char* kind : kFrameKinds) {
    const fs::path folder = path / "frames" / kind;
    if (!is_real_folder(path / "frames") || !is_real_folder(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (is_own_frame(entry.path())) fs::remove(entry.path());
    }
    std::error_code not_empty;
    fs::remove(folder, not_empty);
  }
  std::error_code not_empty;
  if (is_real_folder(path / "frames")) fs::remove(path / "frames", not_empty);
  for (const std::string name : kRunFiles) {
    fs::remove(path / name);
    fs::remove(path / (name + kUnfinished));
  }
}

std::string local_time(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char date[64];
  std::strftime(date, sizeof date, format, &local);
  return date;
}

}  // namespace

void refuse_existing_run(const fs::path& path, bool overwrite) {
  std::error_code unreadable;  // making the folder will say why
  const bool has_log = fs::exists(path / "run.sqlite", unreadable);
  if (has_log && overwrite) return;
  if (has_log) {
    throw OutputError(path.string() +
                      ": holds a run already (run.sqlite); name another `out`, or `overwrite` to replace it");
  }
  for (const char* name : kRunFiles) {
    if (!fs::exists(path / name, unreadable)) continue;
    throw OutputError(path.string() + ": holds " + name +
                      " without a run's log, so it is not ours to replace; name another `out`");
  }
}

RunFolder RunFolder::create(const fs::path& path, bool overwrite) {
  refuse_existing_run(path, overwrite);
  const bool made = make_folders(path);
  RunFolder folder(path, lock(path), made);
  folder.name_run("");
  refuse_existing_run(path, overwrite);  // again: one may have been written before the lock was ours
  try {
    delete_run(path);
  } catch (const fs::filesystem_error& error) {
    throw OutputError(path.string() + ": cannot delete the run there: " + error.code().message());
  }
  return folder;
}

RunFolder RunFolder::of_run(const fs::path& path) { return {path, lock(path), false}; }

void RunFolder::name_run(const std::string& run) const {
  if (::ftruncate(lock_, 0) != 0 || ::pwrite(lock_, run.data(), run.size(), 0) != static_cast<ssize_t>(run.size()))
    throw OutputError((path_ / "run.lock").string() + ": cannot write: " + std::strerror(errno));
}

void RunFolder::delete_ending() const {
  std::error_code error;
  for (const char* name : kEnding) {
    fs::remove(path_ / name, error);
    if (error) throw OutputError((path_ / name).string() + ": cannot delete: " + error.message());
  }
}

std::string run_named_in(const fs::path& run_folder) {
  std::ifstream file(run_folder / "run.lock");
  std::string run;
  std::getline(file, run);
  return run;
}

void RunFolder::discard() noexcept {
  std::error_code not_empty;
  try {
    delete_run(path_);
  } catch (const fs::filesystem_error&) {  // then it stays
  }
  fs::remove(path_ / "run.lock", not_empty);
  if (made_) fs::remove(path_, not_empty);
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)), made_(other.made_) {}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

fs::path log_in(const fs::path& run_folder) { return run_folder / "run.sqlite"; }

std::vector<fs::path> runs_in(const fs::path& path) {
  std::error_code error;
  if (fs::exists(log_in(path), error)) return {path};
  std::vector<fs::path> runs;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code unreadable;  // perhaps the user's own
    if (fs::exists(log_in(entry->path()), unreadable)) runs.push_back(entry->path());
  }
  if (error) throw UsageError(in_quotes(path.string()) + ": cannot read: " + error.message());
  std::sort(runs.begin(), runs.end());
  return runs;
}

fs::path existing_run(const fs::path& path) {
  if (path.filename() == "run.sqlite" && fs::is_regular_file(path))
    return path.parent_path().empty() ? "." : path.parent_path();
  const std::vector<fs::path> runs = runs_in(path);
  if (runs == std::vector{path}) return path;
  if (runs.empty())
    throw UsageError(in_quotes(path.string()) + ": holds no run (no run.sqlite); expected a run folder");
  throw UsageError(in_quotes(path.string()) + ": holds " + counted(static_cast<int64_t>(runs.size()), "run") +
                   "; name one of them, such as " + shell_quoted(escaped(runs.front().string(), 200)));
}

bool is_being_written(const fs::path& run_folder) {
  const Descriptor file(::open((run_folder / "run.lock").c_str(), O_RDONLY | O_CLOEXEC));
  return file.is_open() && ::flock(file.number(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

DefaultFolder::~DefaultFolder() {
  std::error_code not_empty;
  if (path_.empty()) return;
  fs::remove(path_, not_empty);
  if (made_parent_) fs::remove(path_.parent_path(), not_empty);
}

fs::path DefaultFolder::for_run(const std::string& prompt, uint64_t seed, bool dry) {
  return named(slug(prompt) + "-" + std::to_string(seed), dry);
}

fs::path DefaultFolder::for_batch(size_t runs, bool dry) { return named(std::to_string(runs) + "-runs", dry); }

fs::path DefaultFolder::named(const std::string& name, bool dry) {
  const fs::path path = fs::path("runs") / (local_time("%Y%m%d-%H%M%S") + "-" + name);
  if (!dry) made_parent_ = make_folders(path.parent_path());
  if (made_parent_) confinement_made(path.parent_path());
  for (int number = 1;; ++number) {
    const fs::path numbered = path.string() + (number > 1 ? "-" + std::to_string(number) : "");
    std::error_code error;
    if (dry && !fs::exists(numbered, error)) return numbered;
    if (!dry && ::mkdir(numbered.c_str(), 0777) == 0) {
      confinement_made(numbered);
      return path_ = numbered;
    }
    if (!dry && errno != EEXIST)
      throw OutputError(numbered.string() + ": cannot make the folder: " + std::strerror(errno));
  }
}

std::string date_now() { return local_time("%Y-%m-%dT%H:%M:%S%z").insert(22, ":"); }  // strftime's offset has no colon

}  // namespace steplapse
