#include "model/program_check.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/child_process.h"
#include "base/confinement.h"
#include "base/text.h"
#include "steplapse/error.h"
#include "steplapse/version.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr int kLongestWait = 600;         // seconds, on a machine however busy
constexpr size_t kLongestVerdict = 4096;  // bytes; a pipe takes them at once
constexpr char kPassed = '+', kRefused = '-', kNoMemory = 'm';

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsSanitized = true;  // a sanitizer keeps terabytes of addresses
#else
constexpr bool kIsSanitized = false;
#endif

void limit(decltype(RLIMIT_CPU) what, rlim_t soft, rlim_t hard) {
  rlimit now{};
  if (::getrlimit(what, &now) != 0) return;
  const rlimit lower{std::min(soft, now.rlim_max), std::min(hard, now.rlim_max)};
  ::setrlimit(what, &lower);
}

/// Bytes that count against RLIMIT_DATA: the sixth number of statm, in pages, is this and the stacks.
rlim_t memory_in_use() {
  std::ifstream file("/proc/self/statm");
  rlim_t pages = 0;
  for (int i = 0; i < 6; ++i) file >> pages;
  return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

void set_limits(const ProgramCheck::Limits& limits) {
  const auto seconds = static_cast<rlim_t>(limits.seconds), bytes = memory_in_use() + static_cast<rlim_t>(limits.bytes);
  limit(RLIMIT_CPU, seconds, seconds + 5);
  limit(RLIMIT_CORE, 0, 0);
  if (!kIsSanitized) limit(RLIMIT_DATA, bytes, bytes);
}

/// Signals have their usual meaning, and the child does not outlive its parent.
void settle_signals(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) _exit(1);
  ::signal(SIGXCPU, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigaddset(&none, SIGXCPU);
  ::sigprocmask(SIG_UNBLOCK, &none, nullptr);
}

/// The threads of OpenMP did not come along; work is not to be shared with them.
void use_one_thread() {
  const auto set = reinterpret_cast<void (*)(int)>(::dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set) set(1);
}

void say(int pipe, char kind, const std::string& text) {
  const std::string verdict = kind + text.substr(0, kLongestVerdict - 2) + '\n';
  if (::write(pipe, verdict.data(), verdict.size()) != static_cast<ssize_t>(verdict.size())) _exit(1);
}

/// The child's work. @return whether the program passed
bool check(const BundleFolder& folder, const std::string& name, const ProgramCheck::Reader& read, int pipe) {
  try {
    read((folder.path() / name).string(), folder.read(name));
    say(pipe, kPassed, name);
    return true;
  } catch (const BundleError& error) {
    say(pipe, kRefused, error.what());
  } catch (const std::bad_alloc&) {
    say(pipe, kNoMemory, "");
  } catch (const std::exception& error) {
    say(pipe, kRefused, (folder.path() / name).string() + ": " + error.what());
  }
  return false;
}

[[noreturn]] void check_all(const BundleFolder& folder, const std::vector<std::string>& programs,
                            const ProgramCheck::Limits& limits, const ProgramCheck::Reader& read, int pipe) {
  set_limits(limits);
  use_one_thread();
  for (const std::string& name : programs) {
    if (!check(folder, name, read, pipe)) break;
  }
  _exit(0);
}

/// A line of the pipe, without its end; "" where the child ended before it wrote one, or none came in time.
std::string next_verdict(int pipe) {
  std::string verdict;
  pollfd waiting{pipe, POLLIN, 0};
  for (;;) {
    char byte = 0;
    const int ready = ::poll(&waiting, 1, kLongestWait * 1000);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return "";
    const ssize_t size = ::read(pipe, &byte, 1);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return "";
    if (byte == '\n') return verdict;
    verdict += byte;
  }
}

std::string too_much_memory(const ProgramCheck::Limits& limits) {
  return "reading it takes more than " + std::to_string(limits.bytes >> 20) + " MiB of memory";
}

std::string ending_text(int status, const ProgramCheck::Limits& limits) {
  if (WIFEXITED(status)) return "reading it ended its process with exit code " + std::to_string(WEXITSTATUS(status));
  if (WTERMSIG(status) == SIGXCPU)
    return "reading it takes more than " + std::to_string(limits.seconds) + " s of processor time";
  return std::string("reading it ended its process: ") + ::strsignal(WTERMSIG(status));
}

}  // namespace

ProgramCheck::ProgramCheck(const BundleFolder& folder, const std::vector<std::string>& programs, Limits limits,
                           const Reader& read)
    : folder_(folder), limits_(limits) {
  if (!is_confined()) return;
  std::error_code unreadable;
  for (const std::string& program : programs) {
    const fs::path mark = mark_of(program);
    if (mark.empty() || !fs::exists(mark, unreadable)) programs_.push_back(program);
  }
  if (programs_.empty()) return;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error(ExitCode::run_failed, "cannot make a pipe to check a bundle by");
  verdicts_ = Descriptor(ends[0]);
  const Descriptor theirs(ends[1]);
  const pid_t parent = ::getpid();
  child_ = ::fork();
  if (child_ == 0) {
    close_all_but(theirs.number());
    settle_signals(parent);
    check_all(folder_, programs_, limits_, read, theirs.number());
  }
  if (child_ < 0)
    throw Error(ExitCode::run_failed,
                std::string("cannot start a process to check a bundle in: ") + std::strerror(errno));
}

ProgramCheck::~ProgramCheck() {
  if (child_ < 0) return;
  ::kill(child_, SIGKILL);
  while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void ProgramCheck::wait_for(const std::string& program) {
  const auto found = std::ranges::find(programs_, program);
  if (found == programs_.end()) return;
  const auto place = static_cast<size_t>(found - programs_.begin());
  while (passed_ <= place) {
    const std::string verdict = next_verdict(verdicts_.number());
    if (verdict.empty()) fail(programs_[passed_]);
    const std::string path = (folder_.path() / programs_[passed_]).string();
    if (verdict.front() == kNoMemory) throw BundleError(path + ": " + too_much_memory(limits_));
    if (verdict != kPassed + programs_[passed_]) throw BundleError(escaped(verdict.substr(1), kLongestVerdict));
    const fs::path mark = mark_of(programs_[passed_]);
    if (!mark.empty()) std::ofstream(mark).flush();  // where it can't be made, the program is checked again
    ++passed_;
  }
}

void ProgramCheck::fail(const std::string& program) {
  int status = 0;
  const pid_t child = std::exchange(child_, -1);
  ::kill(child, SIGKILL);  // one that took too long; what has ended stays as it ended
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  throw BundleError((folder_.path() / program).string() + ": " + ending_text(status, limits_) +
                    "; no program that the exporter writes does that");
}

fs::path ProgramCheck::mark_of(const std::string& program) const {
  const fs::path cache = cache_of(folder_.manifest());
  return cache.empty() ? cache : cache / folder_.manifest().files.at(program).sha256;
}

fs::path cache_of(const Manifest& manifest) {
  const char *const given = std::getenv("XDG_CACHE_HOME"), *const home = std::getenv("HOME");
  fs::path parent;
  if (given && *given == '/') {
    parent = given;
  } else if (home && *home == '/') {
    parent = fs::path(home) / ".cache";
  } else {
    return {};
  }
  return parent / "steplapse" / (manifest.sha256 + "-" + STEPLAPSE_VERSION + "-" + TORCH_VERSION);
}

}  // namespace steplapse
