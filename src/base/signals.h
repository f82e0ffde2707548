#pragma once

#include <functional>
#include <string>

namespace steplapse {

/// Starts a thread that takes the signals that end a program: SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGXCPU. A signal
/// that was ignored stays ignored (nohup). For main(), before it starts any other thread.
///
/// The first signal is noted, and the process ends: at once, or after the time that a SignalWatch gives. A second
/// SIGINT or SIGTERM ends it at once. (The other signals arrive twice by themselves: SIGHUP from terminal and shell,
/// SIGXCPU every second. One signal sent twice within a second by one process counts once, since `timeout` sends it
/// so.)
void watch_signals();

/// Does the work while the thread of watch_signals is ended; signals that arrive meanwhile wait. For what has to be done
/// while no other thread exists.
void without_signal_thread(const std::function<void()>& work);

/// The first signal that arrived, or 0. Thread-safe.
int noted_signal();

std::string name_of_signal(int signal);  ///< SIGTERM
int exit_code_of_signal(int signal);     ///< 130 for SIGINT, 143 for the others

/// Work that a signal ends. Only one may exist at a time.
class SignalWatch {
 public:
  /// @param leave  Called on a thread of its own before the process ends, and given ten seconds. The work still runs
  ///               then, so `leave` must not wait for it. What the work could spoil, `leave` protects by taking its
  ///               locks and keeping them.
  explicit SignalWatch(std::function<void(int signal)> leave);
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();  ///< does not return once the process is being ended

  /// Gives the work this many seconds from the first signal on, so that it can finish. Before the call it has none. The
  /// time holds beyond the end of the watch too, for what comes last.
  void give(double seconds);
};

}  // namespace steplapse
