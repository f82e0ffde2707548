#pragma once

#include <c10/util/Exception.h>

#include <iostream>
#include <string>

#include "base/text.h"

namespace steplapse {

/// While it lives, libtorch's warnings on this thread are lines of ours: a bundle has a say in their text, and could write
/// to the terminal through it.
class LibtorchWarnings {
 private:
  struct Escaped : c10::WarningHandler {
    void process(const c10::Warning& warning) override {
      std::cerr << "steplapse: warning: libtorch: " + escaped(warning.msg(), 300) + "\n" << std::flush;
    }
  };
  Escaped handler_;
  c10::WarningUtils::WarningHandlerGuard guard_{&handler_};
};

}  // namespace steplapse
