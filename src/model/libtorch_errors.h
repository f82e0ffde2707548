#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <new>
#include <string>
#include <system_error>

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {

/// The reason in a libtorch message, as one line. libtorch's interpreter turns each error, a failed allocation on the device
/// too, into a text of many lines with the reason last. Where libtorch or the standard library says that the fault is its
/// own, with a place in its source or a request to report it, the text is of no use to whoever was given a faulty bundle.
inline std::string reason_in(const std::string& text) {
  const size_t at = text.rfind("RuntimeError: ");
  const size_t begin = std::min(text.find_first_not_of(" \n", at == std::string::npos ? 0 : at + 14), text.size());
  const std::string reason = text.substr(begin, text.find('\n', begin) - begin);
  for (const char* inner : {"INTERNAL ASSERT", "report", ".cpp", ".h:", "std::", "c10::", "::_M_", "::at",
                            "vector::", "basic_string", "stoi", "stol", "stod"}) {
    if (reason.find(inner) != std::string::npos) return "libtorch can't do what its program asks for";
  }
  return reason.empty() ? "libtorch says no reason" : escaped(reason, 300);
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
