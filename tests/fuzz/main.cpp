// steplapse_fuzz TARGET COUNT SEED: has a reader read COUNT mutants, those of SEED, SEED + 1, ... So the mutant that a message
// names comes again with `steplapse_fuzz TARGET 1 ITS_SEED`. TARGET all: one after the other.
//
// A mutant is read or refused. A finding is: a signal, 10 s of CPU time, 2 GB of memory, an exception that is not ours, a
// message of several lines or in another's words, and anything on standard error but our warnings.

#include <ATen/Parallel.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "base/aten.h"
#include "base/machine.h"
#include "base/text.h"
#include "steplapse/error.h"
#include "targets.h"

namespace steplapse::fuzz {
namespace {

constexpr rlim_t kMostMemory = rlim_t{2} << 30;
constexpr int kMostSeconds = 10;  // of CPU time; the clock gets longer, for a machine that does other things too

/// Words that show that a message is another library's.
const std::vector<std::string> kForeignWords{
    "INTERNAL ASSERT", "please report", "report a bug", "stoll", "stoi",  ".cpp",  ".cc",    ".h:",
    "json.exception",  "basic_string",  "vector::",     "map::", "std::", "c10::", "at::at", "_M_"};

// What the handler of a signal says: no memory is taken there.
char now_reading[200] = "nothing";
int terminal = STDERR_FILENO;

void say_and_end(int signal) {
  char text[300];
  const int size = std::snprintf(text, sizeof text, "FOUND %s: signal %d%s\n", now_reading, signal,
                                 signal == SIGPROF || signal == SIGALRM ? " (it takes too long)" : "");
  if (write(terminal, text, static_cast<size_t>(size)) < 0) _exit(2);
  _exit(1);
}

void watch_for_signals() {
  static std::vector<char> stack(1 << 16);
  const stack_t own{.ss_sp = stack.data(), .ss_flags = 0, .ss_size = stack.size()};
  sigaltstack(&own, nullptr);
  struct sigaction action{};
  action.sa_handler = say_and_end;
  action.sa_flags = SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGBUS, SIGPROF, SIGALRM})
    sigaction(signal, &action, nullptr);
}

/// Times this mutant alone.
void start_clock() {
  const itimerval limit{.it_interval = {}, .it_value = {.tv_sec = kMostSeconds, .tv_usec = 0}};
  setitimer(ITIMER_PROF, &limit, nullptr);
  alarm(10 * kMostSeconds);
}

int64_t kilobytes(const std::string& key) {
  FILE* const status = std::fopen("/proc/self/status", "r");
  char line[200];
  int64_t number = 0;
  while (status && std::fgets(line, sizeof line, status)) {
    if (std::strncmp(line, key.c_str(), key.size()) == 0) number = std::atoll(line + key.size());
  }
  if (status) std::fclose(status);
  return number;
}

void limit_memory() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlim_t most = static_cast<rlim_t>(kilobytes("VmData:")) * 1024 + kMostMemory;
  const rlimit limit{most, most};
  setrlimit(RLIMIT_DATA, &limit);
#endif
}

/// Standard output goes nowhere, standard error to memory.
class QuietStreams {
 public:
  QuietStreams() : said_(memfd_create("said", MFD_CLOEXEC)) {
    std::cout.flush();
    terminal = dup(STDERR_FILENO);
    output_ = dup(STDOUT_FILENO);
    dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
    dup2(said_, STDERR_FILENO);
  }
  ~QuietStreams() {
    std::cout.flush();
    dup2(output_, STDOUT_FILENO);
    dup2(terminal, STDERR_FILENO);
  }

  /// What was said since the last call.
  std::string said() {
    std::string text(static_cast<size_t>(lseek(said_, 0, SEEK_END)), '\0');
    if (pread(said_, text.data(), text.size(), 0) < 0 || ftruncate(said_, 0) != 0) std::abort();
    lseek(said_, 0, SEEK_SET);
    return text;
  }

 private:
  int said_, output_;
};

/// What is wrong with what was said on standard error; "": nothing.
std::string fault_of_words(const std::string& said) {
  for (size_t begin = 0; begin < said.size();) {
    const size_t end = std::min(said.find('\n', begin), said.size());
    const std::string line = said.substr(begin, end - begin);
    if (!line.starts_with("steplapse: ")) return "standard error: " + line;
    begin = end + 1;
  }
  return "";
}

/// What is wrong with a refusal; "": nothing.
std::string fault_of(const std::exception& error, const Target& target) {
  const Failure failure = failure_of(error);
  const auto* ours = dynamic_cast<const Error*>(&error);
  if (!ours && !target.plain_exceptions) return "no error of ours: " + failure.message;
  if (failure.code == ExitCode::memory && !target.may_lack_memory) return "out of memory: " + failure.message;
  const std::string text = error.what();
  if (ours && escaped(text, std::string::npos) != text) return "not one plain line: " + failure.message;
  if (text.size() > 2000) return "a long line: " + failure.message.substr(0, 300);
  for (const std::string& word : kForeignWords) {
    if (text.find(word) != std::string::npos) return "in another's words: " + failure.message;
  }
  return "";
}

struct Tally {
  int64_t read = 0, refused = 0, found = 0;
  double longest = 0;  ///< seconds of CPU time
};

class Fuzzing {
 public:
  /// @param alone  one mutant, whose refusal is shown
  Fuzzing(const Target& target, bool alone) : target_(target), alone_(alone) {}

  Tally run(int64_t count, uint64_t seed) {
    QuietStreams streams;
    for (int64_t i = 0; i < count; ++i) read_one(seed + static_cast<uint64_t>(i), streams);
    return tally_;
  }

 private:
  void read_one(uint64_t seed, QuietStreams& streams) {
    std::snprintf(now_reading, sizeof now_reading, "%s %llu", target_.name.c_str(),
                  static_cast<unsigned long long>(seed));
    Mutator mutator(seed);
    const std::clock_t begin = std::clock();
    start_clock();
    try {
      target_.read_mutant(mutator);
      ++tally_.read;
    } catch (const std::exception& error) {
      ++tally_.refused;
      note(fault_of(error, target_));
      if (alone_) say(failure_of(error).message);
    }
    alarm(0);
    tally_.longest = std::max(tally_.longest, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
    note(fault_of_words(streams.said()));
  }
  void note(const std::string& fault) {
    if (fault.empty()) return;
    ++tally_.found;
    say(std::string("FOUND ") + now_reading + ": " + fault);
  }

  static void say(const std::string& text) {
    const std::string line = text + "\n";
    if (write(terminal, line.data(), line.size()) < 0) std::abort();
  }

  const Target& target_;
  const bool alone_;
  Tally tally_;
};

int run(const std::string& name, int64_t count, uint64_t seed) {
  const std::vector<Target> chosen = targets(name);
  if (chosen.empty()) {
    std::cerr << "steplapse_fuzz: no target " << name << "; they are in tests/fuzz/targets.cpp\n";
    return 2;
  }
  watch_for_signals();
  limit_memory();
  int64_t found = 0;
  for (const Target& target : chosen) {
    const Tally tally = Fuzzing(target, count == 1).run(count, seed);
    found += tally.found;
    std::printf(
        "%-14s %7lld mutants from seed %llu: %lld read, %lld refused, %lld findings; longest %.2f s, peak %lld MB\n",
        target.name.c_str(), static_cast<long long>(count), static_cast<unsigned long long>(seed),
        static_cast<long long>(tally.read), static_cast<long long>(tally.refused), static_cast<long long>(tally.found),
        tally.longest, static_cast<long long>(kilobytes("VmHWM:") / 1024));
    std::fflush(stdout);
  }
  return found == 0 ? 0 : 1;
}

}  // namespace
}  // namespace steplapse::fuzz

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: steplapse_fuzz all|TARGET COUNT SEED; the targets are in tests/fuzz/targets.cpp\n";
    return 2;
  }
  steplapse::keep_freed_memory();
  at::set_num_threads(1);
  return steplapse::fuzz::run(argv[1], std::atoll(argv[2]), std::strtoull(argv[3], nullptr, 10));
}
