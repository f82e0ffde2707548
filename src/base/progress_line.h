#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "base/terminal_picture.h"

namespace steplapse {

/// "[####......] step 12/30, 0:05 left", in at most `columns` columns. Where the line is too long, first the bar
/// shrinks, then the last parts are left out, then the bar is.
/// @param share  the share that is done, 0 to 1
/// @param parts  ASCII, at least one, the most important first
std::string progress_line(double share, const std::vector<std::string>& parts, size_t columns);

/// The last line of stderr, written over and over. It needs no escape sequences, so it works on any terminal; a picture above
/// it needs some. Thread-safe.
class ProgressLine {
 public:
  void show(double share, const std::vector<std::string>& parts);
  void say(const std::string& line);          ///< writes a line that stays, above the last one
  void show(const TerminalPicture& picture);  ///< above the line, in place of the last picture
  void end();                                 ///< leaves the line; what is written next begins below it

 private:
  static size_t room();
  void write_over(const std::string& line);

  std::mutex mutex_;
  double share_ = 0;
  std::vector<std::string> parts_;  // empty: nothing is shown
  size_t shown_ = 0;                // characters at the end of stderr
  size_t picture_rows_ = 0;         // just above the line; 0: there is none
};

}  // namespace steplapse
