#pragma once

#include <mutex>
#include <string>
#include <vector>

namespace steplapse {

/// "[####......] step 12/30, 0:05 left" in that many columns at most. Where it is too long the bar shrinks, then what is
/// rightmost is left out, then the bar goes.
/// @param share  what is done, 0 to 1
/// @param parts  ASCII, what matters most first
std::string progress_line(double share, const std::vector<std::string>& parts, size_t columns);

/// The line at the end of stderr that is written over. It takes no escape sequences, so any terminal will do. May be used
/// from several threads.
class ProgressLine {
 public:
  void show(double share, const std::vector<std::string>& parts);
  void say(const std::string& line);  ///< stays, above
  void end();                         ///< what is written next begins below

 private:
  static size_t room();
  void write_over(const std::string& line);

  std::mutex mutex_;
  double share_ = 0;
  std::vector<std::string> parts_;  // empty: nothing is shown
  size_t shown_ = 0;                // characters at the end of stderr
};

}  // namespace steplapse
