#include "base/signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/confinement.h"

namespace steplapse {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr std::array<std::pair<int, const char*>, 5> kWatched{
    {{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}, {SIGUSR1, "SIGUSR1"}, {SIGXCPU, "SIGXCPU"}}};
constexpr Seconds kToLeave{10};

std::atomic<int> noted{0};

/// The work that a signal ends. The thread that ends the process takes the lock and keeps it.
struct Work {
  std::mutex mutex;
  std::function<void(int)> leave;
  Seconds grace{0};
};

Work& work() {
  static Work& never_deleted = *new Work;  // a thread may need it to the end
  return never_deleted;
}

/// The next of these signals; none where none arrives in time.
std::optional<siginfo_t> next_signal(const sigset_t& signals, Clock::time_point until) {
  for (;;) {
    const Seconds left = std::clamp<Seconds>(until - Clock::now(), Seconds(0), Seconds(1e6));
    const auto whole = std::chrono::floor<std::chrono::seconds>(left);
    const timespec time{whole.count(), static_cast<long>(1e9 * (left - whole).count())};
    siginfo_t info;
    if (sigtimedwait(&signals, &info, &time) > 0) return info;
    if (Clock::now() >= until) return std::nullopt;  // else: stopped and continued meanwhile
  }
}

void leave_at_second_signal(const sigset_t& signals, const siginfo_t& first, Clock::time_point came,
                            Clock::time_point until) {
  while (const auto next = next_signal(signals, until)) {
    const bool same = next->si_signo == first.si_signo && next->si_code == SI_USER && next->si_pid == first.si_pid &&
                      Clock::now() - came < std::chrono::seconds(1);
    if (!same && (next->si_signo == SIGINT || next->si_signo == SIGTERM)) _exit(exit_code_of_signal(next->si_signo));
  }
}

const int kPause = SIGRTMIN;  // tells the thread below to end

/// @param signals  without kPause
void take_signals(const sigset_t& signals) {
  sigset_t with_pause = signals;
  sigaddset(&with_pause, kPause);
  siginfo_t first;
  while (sigwaitinfo(&with_pause, &first) < 0) {  // interrupted
  }
  if (first.si_signo == kPause) return;
  const auto came = Clock::now();
  const int signal = first.si_signo;
  noted = signal;
  const Seconds grace = [] {
    const std::lock_guard guard(work().mutex);
    return std::min(work().grace, Seconds(1e6));
  }();
  leave_at_second_signal(signals, first, came, came + std::chrono::duration_cast<Clock::duration>(grace));

  std::thread([signal] {
    work().mutex.lock();
    if (work().leave) work().leave(signal);
    end_confinement();
    _exit(exit_code_of_signal(signal));
  }).detach();
  leave_at_second_signal(signals, first, came, Clock::now() + std::chrono::duration_cast<Clock::duration>(kToLeave));
  _exit(exit_code_of_signal(signal));
}

/// Of watch_signals.
struct Watching {
  sigset_t signals{};
  std::thread thread;
};

Watching& watching() {
  static Watching& never_deleted = *new Watching;  // its thread lives to the end
  return never_deleted;
}

}  // namespace

void watch_signals() {
  sigset_t& signals = watching().signals;
  sigemptyset(&signals);
  for (const auto& [signal, name] : kWatched) {
    struct sigaction action{};
    sigaction(signal, nullptr, &action);
    if (action.sa_handler != SIG_IGN) sigaddset(&signals, signal);
  }
  sigset_t blocked = signals;
  sigaddset(&blocked, kPause);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);  // threads inherit it, so that only the one below gets them
  watching().thread = std::thread([signals] { take_signals(signals); });
}

void without_signal_thread(const std::function<void()>& work) {
  std::thread& thread = watching().thread;
  if (!thread.joinable()) return work();
  pthread_kill(thread.native_handle(), kPause);
  thread.join();  // for ever where a signal has come: then the process is being ended
  const auto watch_again = [&] { thread = std::thread([signals = watching().signals] { take_signals(signals); }); };
  try {
    work();
  } catch (...) {
    watch_again();
    throw;
  }
  watch_again();
}

int noted_signal() { return noted; }

std::string name_of_signal(int signal) {
  for (const auto& [watched, name] : kWatched) {
    if (watched == signal) return name;
  }
  return "signal " + std::to_string(signal);
}

int exit_code_of_signal(int signal) { return 128 + (signal == SIGINT ? SIGINT : SIGTERM); }

SignalWatch::SignalWatch(std::function<void(int)> leave) {
  const std::lock_guard guard(work().mutex);
  work().leave = std::move(leave);
  work().grace = Seconds(0);
}

SignalWatch::~SignalWatch() {
  const std::lock_guard guard(work().mutex);
  work().leave = nullptr;
}

void SignalWatch::give(double seconds) {
  const std::lock_guard guard(work().mutex);
  work().grace = Seconds(seconds);
}

}  // namespace steplapse
