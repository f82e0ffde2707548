#include "steplapse/error.h"

#include <c10/util/Exception.h>

#include <new>

#include "steplapse/text.h"

namespace steplapse {
namespace {

/// A name of the user's in a message may hold line ends and worse.
std::string one_line(const std::string& text) { return escaped(text, std::string::npos); }

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

bool is_lack_of_memory(const std::string& text) {
  return text.find("out of memory") != std::string::npos || text.find("can't allocate memory") != std::string::npos;
}

Failure failure_of(const std::exception& error) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) return {one_line(ours->what()), ours->code()};
  if (dynamic_cast<const std::bad_alloc*>(&error)) return {"out of memory; a smaller --size may fit", ExitCode::memory};
  const auto* torch = dynamic_cast<const c10::Error*>(&error);  // its own what() carries a stack trace
  const std::string text = first_line(torch ? torch->what_without_backtrace() : error.what());
  if (torch && is_lack_of_memory(text)) return {"out of memory: " + text + "; a smaller --size may fit", ExitCode::memory};
  return {one_line(text), ExitCode::run_failed};
}

}  // namespace steplapse
