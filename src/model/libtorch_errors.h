#pragma once

#include <c10/util/Exception.h>

#include <new>
#include <string>
#include <system_error>

#include "steplapse/error.h"

namespace steplapse {

/// The reason in a libtorch message. libtorch's interpreter turns each error, a failed allocation on the device too,
/// into a text of many lines with the reason last.
inline std::string reason_in(const std::string& text) {
  const size_t at = text.rfind("RuntimeError: ");
  const std::string reason = at == std::string::npos ? text : text.substr(at + 14);
  return reason.substr(0, reason.find('\n'));
}

/// Runs a task and turns libtorch's exceptions into Error, and into MemoryError for a failed allocation.
/// @param place  what is being done, for messages
/// @return what the task returns
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
  } catch (const std::system_error&) {  // of the machine, as where no thread can be started
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
