#include "studies/sweep/cell_claims.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <functional>
#include <sstream>
#include <system_error>

#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

std::string reason_of(int error) { return std::generic_category().message(error); }

struct flock lock_of(size_t byte, short kind) {
  struct flock lock{};
  lock.l_type = kind;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(byte);
  lock.l_len = 1;
  return lock;
}

/// 0, or why the byte could not be locked.
int tried_lock(int file, size_t byte, short kind) {
  struct flock lock = lock_of(byte, kind);
  while (::fcntl(file, F_SETLK, &lock) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

/// 0 where another process is kept from the byte. The child does nothing but system calls: other threads run here.
int tried_in_a_child(const fs::path& path, size_t byte) {
  const char* name = path.c_str();
  const pid_t child = ::fork();
  if (child == 0) {
    const int file = ::open(name, O_RDWR | O_CLOEXEC);
    ::_exit(file < 0 ? 255 : std::min(254, tried_lock(file, byte, F_WRLCK)));
  }
  int status = 0;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (child < 0 || !WIFEXITED(status)) return 0;  // nothing is known; the parent's lock was given
  const int error = WEXITSTATUS(status);
  if (error == EAGAIN || error == EACCES || error == 255) return 0;
  return error == 0 ? ENOLCK : error;
}

/// How the file system that a path is on was mounted: its kind and options, from /proc/self/mountinfo.
std::optional<std::string> mounted_without_common_locks(const fs::path& path) {
  struct stat file{};
  if (::stat(path.c_str(), &file) != 0) return std::nullopt;
  const std::string device = std::to_string(major(file.st_dev)) + ":" + std::to_string(minor(file.st_dev));
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id, parent, number;
    words >> id >> parent >> number;
    if (number != device) continue;
    for (const char* option : {"nolock", "local_lock=all", "local_lock=posix", "localflock"}) {
      if (line.find(option) != std::string::npos && line.find("local_lock=none") == std::string::npos) return option;
    }
  }
  return std::nullopt;
}

}  // namespace

CellClaims::CellClaims(const fs::path& sweep, size_t cells)
    : path_(sweep / "claims"),
      cells_(cells),
      file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)),
      counts_(cells) {
  if (!file_.is_open()) throw OutputError(path_.string() + ": cannot write: " + reason_of(errno));
  size_t read = 0;
  while (read < cells) {
    const ssize_t more = ::pread(file_.number(), counts_.data() + read, cells - read, static_cast<off_t>(read));
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) throw OutputError(path_.string() + ": cannot read: " + reason_of(errno));
    if (more == 0) break;  // the rest was never written
    read += static_cast<size_t>(more);
  }
}

std::optional<std::string> CellClaims::why_locks_fail() const {
  const size_t byte = cells_;  // beyond those of the cells
  int error = tried_lock(file_.number(), byte, F_WRLCK);
  if (error == EAGAIN || error == EACCES) return std::nullopt;  // another process probes just now, so they hold
  if (error == 0) {
    error = tried_in_a_child(path_, byte);
    unlock(byte);
  }
  if (error != 0) return "this file system has no locks (" + reason_of(error) + ")";
  const auto option = mounted_without_common_locks(path_);
  if (option) return "locks on this file system hold on one machine alone (it is mounted with " + *option + ")";
  return std::nullopt;
}

bool CellClaims::lock(size_t byte) const {
  const int error = tried_lock(file_.number(), byte, F_WRLCK);
  if (error == 0) return true;
  if (error == EAGAIN || error == EACCES) return false;
  throw OutputError(path_.string() + ": cannot lock: " + reason_of(error));
}

void CellClaims::unlock(size_t byte) const { tried_lock(file_.number(), byte, F_UNLCK); }

uint8_t CellClaims::count(size_t cell) const {
  uint8_t count = 0;
  return ::pread(file_.number(), &count, 1, static_cast<off_t>(cell)) == 1 ? count : 0;
}

bool CellClaims::claim(size_t cell) {
  if (is_finished_elsewhere(cell))
    return false;  // the cheaper question: on a network file system a lock is a round trip
  if (locks_ && !lock(cell)) return false;
  if (!is_finished_elsewhere(cell)) return true;
  release(cell);
  return false;
}

bool CellClaims::is_finished_elsewhere(size_t cell) const { return count(cell) != counts_[cell]; }

void CellClaims::release(size_t cell) { unlock(cell); }

void CellClaims::count_finished(size_t cell) {
  const auto next = static_cast<uint8_t>(count(cell) + 1);
  counts_[cell] = next;
  if (::pwrite(file_.number(), &next, 1, static_cast<off_t>(cell)) != 1)
    throw OutputError(path_.string() + ": cannot write: " + reason_of(errno));
}

std::vector<size_t> claimed_cells(const fs::path& sweep, size_t cells) {
  std::vector<size_t> claimed;
  const Descriptor file(::open((sweep / "claims").c_str(), O_RDWR | O_CLOEXEC));
  if (!file.is_open()) return claimed;
  // The system names any lock that is in a range: what lies before it and behind it is asked again.
  const std::function<void(size_t, size_t)> look = [&](size_t from, size_t to) {
    if (from >= to) return;
    struct flock found = lock_of(from, F_WRLCK);
    found.l_len = static_cast<off_t>(to - from);
    if (::fcntl(file.number(), F_GETLK, &found) != 0 || found.l_type == F_UNLCK) return;
    const auto first = std::max(from, static_cast<size_t>(found.l_start));
    const size_t end = found.l_len == 0 ? to : std::min(to, static_cast<size_t>(found.l_start + found.l_len));
    look(from, first);
    for (size_t cell = first; cell < end; ++cell) claimed.push_back(cell);
    look(end, to);
  };
  look(0, cells);
  return claimed;
}

}  // namespace steplapse
