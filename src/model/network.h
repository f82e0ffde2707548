#pragma once

#include <string>
#include <vector>

#include "steplapse/tensor.h"

namespace steplapse {

struct NamedTensor {
  std::string name;  ///< "latents", "conditioning_0"
  Tensor tensor;
};

/// A loaded network of any runtime. All tensors that go in and out are on the CPU, whatever device it runs on. Not
/// thread-safe.
class Network {
 public:
  virtual ~Network() = default;

  /// Runs the network.
  /// @param inputs  float32 or int64, in the order of the network's arguments; a runtime may use their names instead
  /// @return the outputs in order, float32
  /// @throws Error  the network failed; the text names it. MemoryError for a failed allocation
  virtual std::vector<NamedTensor> answer(const std::vector<NamedTensor>& inputs) = 0;
};

}  // namespace steplapse
