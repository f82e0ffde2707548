#include "model/cast_memory.h"

#include <ATen/ATen.h>

#include <sstream>

#include "steplapse/error.h"

namespace steplapse {

void check_cast(const std::string& path, const NamedTensors& tensors, at::ScalarType dtype, int64_t available) {
  int64_t needed = 0;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.is_floating_point() && tensor.scalar_type() != dtype) {
      needed += tensor.numel() * static_cast<int64_t>(at::elementSize(dtype));
    }
  }
  if (needed <= available) return;
  std::ostringstream text;
  text.precision(3);
  text << path << ": its weights need " << static_cast<double>(needed) / 1e9 << " GB of memory as "
       << at::toString(dtype) << ", there are " << static_cast<double>(available) / 1e9
       << "; export the model with a smaller dtype";
  throw MemoryError(text.str());
}

}  // namespace steplapse
