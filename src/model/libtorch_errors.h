#pragma once

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "steplapse/error.h"

namespace steplapse {

/// libtorch's interpreter turns every error into text of many lines, the reason last; a device's lack of memory too.
inline std::string reason_in(const std::string& text) {
  const size_t at = text.rfind("RuntimeError: ");
  const std::string reason = at == std::string::npos ? text : text.substr(at + 14);
  return reason.substr(0, reason.find('\n'));
}

/// Runs a task and says in our own errors what libtorch throws from it.
/// @param place  what was being done, for messages
template <class Task>
auto with_libtorch_errors(const std::string& place, const Task& task) {
  const auto fail = [&](const std::string& text) {
    if (is_lack_of_memory(text)) throw out_of_memory(place, text);
    throw Error(ExitCode::run_failed, place + ": " + reason_in(text));
  };
  try {
    return task();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc& error) {
    throw out_of_memory(place, error.what());
  } catch (const c10::Error& error) {
    fail(error.what_without_backtrace());
    throw;
  } catch (const std::exception& error) {
    fail(error.what());
    throw;
  }
}

}  // namespace steplapse
