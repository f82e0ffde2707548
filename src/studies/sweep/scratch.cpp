#include "studies/sweep/scratch.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>

#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr const char* kScratchBegins = "steplapse-sweep-";

[[noreturn]] void fail_to_write(const fs::path& path, const std::string& why) {
  throw OutputError(path.string() + ": cannot write: " + why);
}

Descriptor locked(const fs::path& folder) {
  Descriptor file(::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (file.is_open() && ::flock(file.number(), LOCK_EX | LOCK_NB) != 0) file.close();
  return file;
}

/// A folder whose lock is free was left by a process that was killed.
void remove_left_behind(const fs::path& parent) {
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end; entry.increment(error)) {
    if (!entry->path().filename().string().starts_with(kScratchBegins)) continue;
    std::error_code unreadable;
    if (!fs::exists(entry->path() / "lock", unreadable)) continue;  // just being made
    const Descriptor lock = locked(entry->path());
    if (lock.is_open()) fs::remove_all(entry->path(), unreadable);
  }
}

fs::path new_folder(const fs::path& parent) {
  std::error_code error;
  fs::create_directories(parent, error);
  if (error) fail_to_write(parent, error.message());
  std::string path = (parent / kScratchBegins).string() + "XXXXXX";
  if (!::mkdtemp(path.data())) fail_to_write(parent, std::strerror(errno));
  return path;
}

void flush(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.is_open() && ::fsync(file.number()) != 0 && errno != EINVAL) fail_to_write(path, std::strerror(errno));
}

}  // namespace

Scratch::Scratch(const fs::path& parent)
    : path_((remove_left_behind(parent), new_folder(parent))), lock_(locked(path_)) {}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void copy_whole(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  for (fs::recursive_directory_iterator entry(from, error), end; !error && entry != end; entry.increment(error)) {
    const fs::path target = to / entry->path().lexically_relative(from);
    if (entry->is_directory()) {
      fs::create_directories(target, error);
    } else {
      fs::copy_file(entry->path(), target, fs::copy_options::overwrite_existing, error);
      if (!error) flush(target);
    }
    if (error) break;
  }
  if (error) fail_to_write(to, error.message());
}

namespace {

void copy_or_nothing(const fs::path& from, const fs::path& to) {
  try {
    copy_whole(from, to);
  } catch (const OutputError&) {
    std::error_code ignored;
    fs::remove_all(to, ignored);
    throw;
  }
}

}  // namespace

void move_whole(const fs::path& from, const fs::path& to) {
  const fs::path part = to.parent_path() / (".moving-" + to.filename().string()),
                 old = to.parent_path() / (".old-" + to.filename().string());
  std::error_code error;
  fs::create_directories(to.parent_path(), error);
  fs::remove_all(part, error);
  fs::rename(from, part, error);
  if (error) copy_or_nothing(from, part);
  fs::remove_all(old, error);
  fs::rename(to, old, error);  // there may be none
  error.clear();
  fs::rename(part, to, error);
  if (error) fail_to_write(to, error.message());
  flush(to.parent_path());
  fs::remove_all(old, error);
  fs::remove_all(from, error);
}

}  // namespace steplapse
