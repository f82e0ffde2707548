#pragma once

#include <functional>
#include <string>

namespace steplapse {

/// From now on a thread of its own takes the signals that end a program: SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGXCPU. One
/// that was ignored stays ignored (nohup). For main(), before it starts any other thread.
///
/// The first of them is noted, and the process ends: at once, or after what a SignalWatch gives. A second SIGINT or
/// SIGTERM ends it at once in any case. (The others come twice by themselves: SIGHUP from terminal and shell, SIGXCPU each
/// second. The same signal twice in a second from one process counts once, for `timeout` sends its own so.)
void watch_signals();

/// The signal that was noted, or 0.
int noted_signal();

std::string name_of_signal(int signal);  ///< SIGTERM
int exit_code_of_signal(int signal);     ///< 130 for SIGINT, 143 for the others

/// Work that a signal ends. There is one at a time.
class SignalWatch {
 public:
  /// @param leave  Called on a thread of its own before the process ends where it is. The work goes on meanwhile, so
  ///               `leave` must not wait for it, and ends what the work could spoil by keeping its locks for good. It has ten
  ///               seconds.
  explicit SignalWatch(std::function<void(int signal)> leave);
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();  ///< does not return while the process is being ended

  /// From now on there is something to finish: the work has this many seconds from the first signal on. That holds beyond
  /// the end of the watch, for what comes last.
  void give(double seconds);
};

}  // namespace steplapse
