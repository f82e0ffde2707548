#include "base/progress_line.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "base/terminal.h"
#include "base/text.h"

namespace steplapse {
namespace {

constexpr size_t kLongestBar = 30, kUsefulBar = 10, kShortestBar = 3, kBrackets = 3;  // "[" and "] "
constexpr size_t kEchoed = 2;  // columns of the ^C that a terminal echoes behind the line

std::string bar(double share, size_t width) {
  const auto filled = static_cast<size_t>(static_cast<double>(width) * std::clamp(share, 0., 1.));
  return "[" + std::string(filled, '#') + std::string(width - filled, '.') + "] ";
}

}  // namespace

std::string progress_line(double share, const std::vector<std::string>& parts, size_t columns) {
  for (size_t count = parts.size(); count > 0; --count) {
    const std::string text = joined({parts.begin(), parts.begin() + static_cast<ptrdiff_t>(count)}, ", ");
    const size_t least = count > 1 ? kUsefulBar : kShortestBar;
    if (text.size() + kBrackets + least > columns) continue;
    return bar(share, std::min(kLongestBar, columns - text.size() - kBrackets)) + text;
  }
  return parts.front().substr(0, columns);
}

void ProgressLine::show(double share, const std::vector<std::string>& parts) {
  const std::lock_guard guard(mutex_);
  share_ = share;
  parts_ = parts;
  write_over(progress_line(share_, parts_, room()));
}

void ProgressLine::say(const std::string& line) {
  const std::lock_guard guard(mutex_);
  write_over("");
  std::cerr << line << std::endl;
  picture_rows_ = 0;
  if (!parts_.empty()) write_over(progress_line(share_, parts_, room()));
}

void ProgressLine::show(const TerminalPicture& picture) {
  const std::lock_guard guard(mutex_);
  write_over("");
  std::cerr << '\r';
  if (picture_rows_ > 0) std::cerr << "\033[" << picture_rows_ << 'A';
  std::cerr << picture.text << std::flush;
  picture_rows_ = picture.rows;
  if (!parts_.empty()) write_over(progress_line(share_, parts_, room()));
}

void ProgressLine::end() {
  const std::lock_guard guard(mutex_);
  picture_rows_ = 0;
  if (!parts_.empty()) std::cerr << std::endl;
  parts_.clear();
  shown_ = 0;
}

size_t ProgressLine::room() {
  const size_t columns = terminal_columns(STDERR_FILENO);
  return columns > kEchoed + 1 ? columns - kEchoed - 1 : 1;  // in the last column some terminals begin a new line
}

void ProgressLine::write_over(const std::string& line) {
  if (shown_ == 0 && line.empty()) return;
  const size_t left = std::min(shown_, room());  // the window may have become narrower
  const std::string blanks((left > line.size() ? left - line.size() : 0) + kEchoed, ' ');
  std::cerr << '\r' << line << blanks << std::string(blanks.size(), '\b') << std::flush;
  shown_ = line.size();
}

}  // namespace steplapse
