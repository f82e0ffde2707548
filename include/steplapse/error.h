#pragma once

#include <exception>
#include <stdexcept>
#include <string>

namespace steplapse {

/// The program's exit codes. 130 is for SIGINT, as shells expect, and 143 for the other signals that end it.
enum class ExitCode { done = 0, run_failed = 1, usage = 2, bundle_refused = 3, output = 4, memory = 5 };

/// What ends a command: one line for the user (place, found, wanted, way out) and the exit code.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

struct UsageError : Error {
  explicit UsageError(const std::string& message) : Error(ExitCode::usage, message) {}
};
struct BundleError : Error {
  explicit BundleError(const std::string& message) : Error(ExitCode::bundle_refused, message) {}
};
struct OutputError : Error {
  explicit OutputError(const std::string& message) : Error(ExitCode::output, message) {}
};
struct MemoryError : Error {
  explicit MemoryError(const std::string& message) : Error(ExitCode::memory, message) {}
};

/// What went wrong, as the user is told: one line, never a stack trace. Whatever is not an Error is `run_failed`, but
/// for memory that was not to be had.
struct Failure {
  std::string message;
  ExitCode code;
};
Failure failure_of(const std::exception& error);

/// Whether a text of libtorch's says that memory was not to be had: on the CPU it has no exception of its own for that.
bool is_lack_of_memory(const std::string& text);

/// What was not to be had, and what to try.
/// @param place  what was being done
/// @param text   what libtorch said; it may name how much was asked for
MemoryError out_of_memory(const std::string& place, const std::string& text);

}  // namespace steplapse
