#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "steplapse/tensor.h"

namespace steplapse {

/// The generator that turns a seed into normal numbers.
enum class Rng {
  cpu,     ///< libtorch's CPU generator: torch.Generator("cpu").manual_seed(seed)
  philox,  ///< PyTorch's CUDA generator, computed on the CPU: torch.Generator("cuda").manual_seed(seed)
};

Rng rng_named(std::string_view name);  ///< @throws std::invalid_argument  another name; the text lists the choices
std::string_view name_of(Rng rng);

/// A stream of standard normal numbers for one image. It belongs to a trajectory, never to the process. Copies share
/// the stream. A default-constructed one has no numbers: to draw from it throws std::logic_error.
class Noise {
 public:
  Noise() = default;
  Noise(Rng rng, uint64_t seed);

  /// The next draw: what torch.randn of this shape returns next, float32 on the CPU.
  Tensor draw(at::IntArrayRef shape);
  Tensor like(const Tensor& x) { return draw(x.sizes()); }

 private:
  struct Stream;
  std::shared_ptr<Stream> stream_;
};

}  // namespace steplapse
