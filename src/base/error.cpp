#include "steplapse/error.h"

#include <c10/util/Exception.h>

#include <cstdlib>
#include <new>
#include <sstream>
#include <string_view>
#include <system_error>

#include "base/text.h"
#include "base/wording.h"

namespace steplapse {
namespace {

/// A message may quote a name of the user's, which may hold line ends and other control characters.
std::string one_line(const std::string& text) { return escaped(text, std::string::npos); }

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// "4.29 GB" from "you tried to allocate 4290000000 bytes", "4.00 GiB" from "Tried to allocate 4.00 GiB"; else "".
std::string amount_in(const std::string& text) {
  constexpr std::string_view before = "ried to allocate ";
  const size_t at = text.find(before);
  if (at == std::string::npos) return "";
  std::istringstream after(text.substr(at + before.size()));
  std::string number, unit;
  after >> number >> unit;
  if (!unit.starts_with("bytes")) return number + " " + unit.substr(0, unit.find('.'));
  std::ostringstream amount;
  amount.precision(3);
  amount << std::strtod(number.c_str(), nullptr) / 1e9 << " GB";
  return amount.str();
}

}  // namespace

MemoryError out_of_memory(const std::string& place, const std::string& text) {
  const std::string amount = amount_in(text), device = text.find("CUDA") == std::string::npos ? "" : " of the GPU";
  return MemoryError((place.empty() ? "" : place + ": ") + "out of memory" + device +
                     (amount.empty() ? "" : ", " + amount + " more needed") +
                     "; a smaller `size` or a bundle exported with a smaller dtype needs less" +
                     (device.empty() ? "" : ", `device` cpu has more"));
}

bool is_lack_of_memory(const std::string& text) {
  const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
  return says("out of memory") || says("can't allocate memory") || says("std::bad_alloc");
}

Failure failure_of(const std::exception& error) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) return {one_line(worded(ours->what())), ours->code()};
  if (dynamic_cast<const std::bad_alloc*>(&error))
    return {worded(out_of_memory("", error.what()).what()), ExitCode::memory};
  if (const auto* system = dynamic_cast<const std::system_error*>(&error);
      system && system->code() == std::errc::resource_unavailable_try_again)
    return {"no thread can be started: " + system->code().message() +
                "; expected room for more of them: see ulimit -u, and the container's limit of processes",
            ExitCode::run_failed};
  const auto* torch = dynamic_cast<const c10::Error*>(&error);  // its own what() carries a stack trace
  const std::string text = first_line(torch ? torch->what_without_backtrace() : error.what());
  if (torch && is_lack_of_memory(text)) return {worded(out_of_memory("", text).what()), ExitCode::memory};
  return {one_line(text), ExitCode::run_failed};
}

}  // namespace steplapse
