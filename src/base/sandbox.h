#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace steplapse {

/// What a process that has entered its sandbox may still reach. Folders stand for all that is in them, now or later.
struct SandboxRules {
  std::vector<std::filesystem::path> read;     ///< files and folders; what isn't there is passed over
  std::vector<std::filesystem::path> write;    ///< the same, to read and write
  std::vector<std::filesystem::path> execute;  ///< programs that may be started; none: no program may be
};

/// What stands between this process and the system.
struct Walls {
  int landlock_abi = 0;  ///< the version of the kernel's Landlock that is used; 0: none
  bool seccomp = false;
  size_t threads_outside = 0;        ///< that began before, and are not held by Landlock
  std::vector<std::string> why_not;  ///< of those that do not stand: "Landlock: Function not implemented"

  std::string text() const;  ///< "landlock ABI 7, seccomp"; "none"
};

/// Gives up, for good, what the rules do not name: files beside them (Landlock); new programs, sockets of the internet,
/// connections, changed owners and modes, io_uring, ptrace and what administrators do (seccomp). Landlock holds the calling
/// thread and those that it starts later. Where the kernel has only one of the two, that one stands.
Walls enter(const SandboxRules& rules);

/// What every program needs: the folders of its libraries, fonts, locales, time zones, /proc, /sys, and the devices that
/// hold nothing; those of NVIDIA to write too, where there are any.
SandboxRules rules_of_the_system();

/// How many threads this process has.
size_t threads_here();

}  // namespace steplapse
