#pragma once

#include <vector>

#include "steplapse/tensor.h"

namespace steplapse {

/// A contiguous float32 tensor's elements, in their order.
inline std::vector<float> values(const Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), tensor.const_data_ptr<float>() + tensor.numel()};
}

}  // namespace steplapse
