#pragma once

#include <exception>
#include <stdexcept>
#include <string>

namespace steplapse {

/// The program's exit codes. Beside these, 130 stands for SIGINT and 143 for the other signals that end it, as in
/// shells.
enum class ExitCode { done = 0, run_failed = 1, usage = 2, bundle_refused = 3, output = 4, memory = 5, differs = 6 };

/// What ends a command. `what()` is one line for the user: the place, what was found, what was expected, and the way
/// out.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// A setting, flag or file of the user's that cannot be used.
struct UsageError : Error {
  explicit UsageError(const std::string& message) : Error(ExitCode::usage, message) {}
};
/// A bundle that was refused. Nothing of it has run.
struct BundleError : Error {
  explicit BundleError(const std::string& message) : Error(ExitCode::bundle_refused, message) {}
};
/// A file that cannot be written.
struct OutputError : Error {
  explicit OutputError(const std::string& message) : Error(ExitCode::output, message) {}
};
/// A failed allocation, on the CPU or on the GPU.
struct MemoryError : Error {
  explicit MemoryError(const std::string& message) : Error(ExitCode::memory, message) {}
};

/// An exception as the user is told of it: one line, no stack trace, control characters escaped, and the exit code. Any
/// other exception than Error is `run_failed`; a failed allocation is `memory`.
struct Failure {
  std::string message;
  ExitCode code;
};
Failure failure_of(const std::exception& error);

/// Whether a libtorch message reports a failed allocation. (On the CPU libtorch has no exception type for it.)
bool is_lack_of_memory(const std::string& text);

/// The error for a failed allocation, with what the user can try.
/// @param place  what was being done, such as "denoiser"; "": unknown
/// @param text   libtorch's message; the number of bytes is taken from it if it names one
MemoryError out_of_memory(const std::string& place, const std::string& text);

}  // namespace steplapse
