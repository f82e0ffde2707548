#pragma once

#include <string>
#include <vector>

#include "steplapse/tensor.h"

namespace steplapse {

struct NamedTensor {
  std::string name;  ///< latents, conditioning_0
  Tensor tensor;
};

/// A network, loaded and ready: the only thing that Bundle knows of a runtime. All tensors are on the CPU, whatever the
/// device is. Not thread-safe.
class Network {
 public:
  virtual ~Network() = default;

  /// @param inputs  float32 or int64, in the order of the network's arguments; a runtime may go by their names
  /// @return its outputs in order, float32
  /// @throws Error  naming the network; MemoryError
  virtual std::vector<NamedTensor> answer(const std::vector<NamedTensor>& inputs) = 0;
};

}  // namespace steplapse
