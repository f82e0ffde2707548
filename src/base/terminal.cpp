#include "base/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace steplapse {
namespace {

constexpr size_t kUsual = 80;  // columns
constexpr size_t kUsualRows = 24;
constexpr int kAnswersWithin = 200;  // milliseconds

/// While it lives, what a terminal sends is neither shown nor held back until a line is whole.
class RawInput {
 public:
  explicit RawInput(int descriptor) : descriptor_(descriptor) {
    is_set_ = tcgetattr(descriptor, &before_) == 0;
    if (!is_set_) return;
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    is_set_ = tcsetattr(descriptor, TCSANOW, &raw) == 0;
  }
  ~RawInput() {
    if (is_set_) tcsetattr(descriptor_, TCSANOW, &before_);
  }
  RawInput(const RawInput&) = delete;
  bool is_set() const { return is_set_; }

 private:
  int descriptor_;
  termios before_{};
  bool is_set_;
};

/// What a terminal sends, up to this character or until it is silent.
std::string answer_up_to(int descriptor, char last) {
  std::string answer;
  pollfd input{descriptor, POLLIN, 0};
  while (poll(&input, 1, kAnswersWithin) == 1) {
    char character = 0;
    if (read(descriptor, &character, 1) != 1) break;
    answer += character;
    if (character == last) break;
  }
  return answer;
}

}  // namespace

size_t terminal_columns(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* told = std::getenv("COLUMNS");
  const long columns = told ? std::strtol(told, nullptr, 10) : 0;
  return columns > 0 ? static_cast<size_t>(columns) : kUsual;
}

size_t terminal_rows(int descriptor) {
  winsize size{};
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : kUsualRows;
}

bool shows_colours(int descriptor) {
  const char* kind = std::getenv("TERM");
  return isatty(descriptor) && kind && std::string(kind) != "dumb";
}

bool shows_kitty_pictures(int descriptor) {
  // A program in the background that asked would be stopped.
  if (tcgetpgrp(descriptor) != getpgrp()) return false;
  const RawInput raw(descriptor);
  if (!raw.is_set()) return false;
  // A picture of one pixel, only to be looked at; then the terminal's attributes, which all of them tell.
  const std::string question = "\033_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\033\\\033[c";
  if (write(descriptor, question.data(), question.size()) != static_cast<ssize_t>(question.size())) return false;
  return answer_up_to(descriptor, 'c').find("\033_Gi=31;OK") != std::string::npos;
}

size_t output_columns() { return isatty(STDOUT_FILENO) ? terminal_columns(STDOUT_FILENO) : kUsual; }

}  // namespace steplapse
