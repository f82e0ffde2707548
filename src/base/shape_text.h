#pragma once

#include <ATen/core/Tensor.h>

#include <sstream>
#include <string>

namespace steplapse {

/// A shape as messages show it: [1, 4, 64, 64].
inline std::string shape_text(at::IntArrayRef shape) {
  std::ostringstream text;
  text << shape;
  return text.str();
}

}  // namespace steplapse
