#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/wording.h"

namespace steplapse {

/// Passes each warning on once, with the place of the first run that has it.
class Warnings {
 public:
  explicit Warnings(std::function<void(const std::string&)> say) : say_(std::move(say)) {}

  /// @param place  "prompts.txt:3"; "" for the command line
  void add(const std::vector<std::string>& warnings, const std::string& place = "") {
    for (const std::string& warning : warnings) {
      if (said_.insert(warning).second) say_((place.empty() ? "" : place + ": ") + worded(warning));
    }
  }

 private:
  std::function<void(const std::string&)> say_;
  std::set<std::string> said_;
};

}  // namespace steplapse
