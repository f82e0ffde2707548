#include "steplapse/error.h"

#include <c10/util/Exception.h>

#include <new>

namespace steplapse {
namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

Failure failure_of(const std::exception& error) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) return {ours->what(), ours->code()};
  if (dynamic_cast<const std::bad_alloc*>(&error)) {
    return {"out of memory; a smaller --size may fit", ExitCode::memory};
  }
  // libtorch's own what() carries a stack trace.
  if (const auto* torch = dynamic_cast<const c10::OutOfMemoryError*>(&error)) {
    return {"out of memory: " + first_line(torch->what_without_backtrace()) + "; a smaller --size may fit", ExitCode::memory};
  }
  if (const auto* torch = dynamic_cast<const c10::Error*>(&error)) {
    return {first_line(torch->what_without_backtrace()), ExitCode::run_failed};
  }
  return {first_line(error.what()), ExitCode::run_failed};
}

}  // namespace steplapse
