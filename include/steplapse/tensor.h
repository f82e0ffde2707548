#pragma once

#include <ATen/core/Tensor.h>

namespace steplapse {

using at::Tensor;

}  // namespace steplapse
