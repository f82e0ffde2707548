#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "steplapse/tensor.h"

namespace steplapse {

/// Whose normal numbers a seed stands for.
enum class Rng {
  cpu,     ///< libtorch's CPU generator: torch.Generator("cpu").manual_seed(seed)
  philox,  ///< PyTorch's CUDA generator, its numbers made on the CPU (see philox.h)
};

Rng rng_named(std::string_view name);  ///< @throws std::invalid_argument naming the choices
std::string_view name_of(Rng rng);

/// One image's own stream of unit-variance normal numbers. It belongs to a trajectory, never to the process.
/// Copies share the stream. A default one has no numbers: drawing from it is std::logic_error.
class Noise {
 public:
  Noise() = default;
  Noise(Rng rng, uint64_t seed);

  /// The next randn of this shape, float32 on the CPU.
  Tensor draw(at::IntArrayRef shape);
  Tensor like(const Tensor& x) { return draw(x.sizes()); }

 private:
  struct Stream;
  std::shared_ptr<Stream> stream_;
};

}  // namespace steplapse
