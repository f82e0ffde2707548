#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mutator.h"

namespace steplapse::fuzz {

/// A reader of bytes that others may have written.
struct Target {
  /// Makes a mutant and has it read. It throws what the reader does where it refuses.
  std::function<void(Mutator&)> read_mutant;
  /// Whether a refusal may have no exit code of its own: functions of the library say what is wrong with a log.
  bool plain_exceptions = false;
  /// Whether what was taken may ask for more memory than there is, as programs that run can.
  bool may_lack_memory = false;
  std::string name = {};
};

/// All targets, or those of one name. What they start from is made here.
std::vector<Target> targets(const std::string& name);

}  // namespace steplapse::fuzz
