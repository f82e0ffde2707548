#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace steplapse {

/// Says each warning once, however many runs have it.
class Warnings {
 public:
  explicit Warnings(std::function<void(const std::string&)> say) : say_(std::move(say)) {}

  void add(const std::string& warning) {
    if (said_.insert(warning).second) say_(warning);
  }
  void add(const std::vector<std::string>& warnings) {
    for (const std::string& warning : warnings) add(warning);
  }

 private:
  std::function<void(const std::string&)> say_;
  std::set<std::string> said_;
};

}  // namespace steplapse
