#include "base/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace steplapse {
namespace {

constexpr off_t kMostLastWords = 4096;  // bytes

[[noreturn]] void fail(const std::filesystem::path& program, int error) {
  throw std::runtime_error(program.string() + ": cannot start: " + std::generic_category().message(error));
}

/// The signals that this program blocks or ignores have their usual meaning there.
void use_plain_signals(posix_spawnattr_t& attributes) {
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

}  // namespace

std::optional<std::filesystem::path> program_on_path(std::string_view name) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (!folder.starts_with('/')) continue;  // what lies in the current folder is not meant
    std::error_code unreadable;
    const std::filesystem::path program = std::filesystem::path(folder) / name;
    if (std::filesystem::is_regular_file(program, unreadable) && ::access(program.c_str(), X_OK) == 0) return program;
  }
  return std::nullopt;
}

void close_all_but(int file) noexcept {
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nothing, standard);
  const auto first = static_cast<unsigned>(STDERR_FILENO) + 1, kept = static_cast<unsigned>(file);
  if (kept > first) ::close_range(first, kept - 1, 0);
  ::close_range(kept + 1, ~0U, 0);
}

ChildProcess::ChildProcess(const std::filesystem::path& program, const std::vector<std::string>& arguments)
    : errors_(::memfd_create("errors", MFD_CLOEXEC)), input_(-1) {
  int ends[2];  // of a socket: writing to one can be told to raise no SIGPIPE
  if (!errors_.is_open() || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail(program, errno);
  const Descriptor theirs(ends[0]);
  input_ = Descriptor(ends[1]);
  ::shutdown(theirs.number(), SHUT_WR);
  process_ = start(program, arguments, theirs.number());
}

pid_t ChildProcess::start(const std::filesystem::path& program, const std::vector<std::string>& arguments, int input) {
  std::vector<std::string> words{program.filename().string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&files, errors_.number(), STDERR_FILENO);
  use_plain_signals(attributes);
  pid_t process = -1;
  const int error = ::posix_spawn(&process, program.c_str(), &files, &attributes, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) fail(program, error);
  return process;
}

bool ChildProcess::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::send(input_.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

ChildProcess::Ending ChildProcess::finish() {
  input_.close();
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {true, last_line()};
  std::string words = last_line();
  if (words.empty())
    words = WIFSIGNALED(status) ? "ended by signal " + std::to_string(WTERMSIG(status))
                                : "ended with exit code " + std::to_string(WEXITSTATUS(status));
  return {false, words};
}

std::string ChildProcess::last_line() const {
  const off_t size = ::lseek(errors_.number(), 0, SEEK_END);
  std::string text(static_cast<size_t>(std::clamp<off_t>(size, 0, kMostLastWords)), '\0');
  const ssize_t read = ::pread(errors_.number(), text.data(), text.size(), size - static_cast<off_t>(text.size()));
  text.resize(static_cast<size_t>(std::max<ssize_t>(read, 0)));
  const size_t last = text.find_last_not_of(" \r\n");
  if (last == std::string::npos) return "";
  text.resize(last + 1);
  return text.substr(text.find_last_of("\r\n") + 1);
}

void ChildProcess::kill() noexcept {
  if (process_ < 0) return;
  ::kill(process_, SIGKILL);
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
}

}  // namespace steplapse
