#include "base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace steplapse {
namespace {

constexpr size_t kUsual = 80;  // columns

}  // namespace

size_t terminal_columns(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* told = std::getenv("COLUMNS");
  const long columns = told ? std::strtol(told, nullptr, 10) : 0;
  return columns > 0 ? static_cast<size_t>(columns) : kUsual;
}

size_t output_columns() { return isatty(STDOUT_FILENO) ? terminal_columns(STDOUT_FILENO) : kUsual; }

}  // namespace steplapse
