#include "steplapse/noise.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <stdexcept>
#include <string>

#include "sampling/philox.h"

namespace steplapse {

Rng rng_named(std::string_view name) {
  for (const Rng rng : {Rng::cpu, Rng::philox}) {
    if (name == name_of(rng)) return rng;
  }
  throw std::invalid_argument("unknown rng '" + std::string(name) + "', expected cpu or philox");
}

std::string_view name_of(Rng rng) { return rng == Rng::cpu ? "cpu" : "philox"; }

struct Noise::Stream {
  Rng rng;
  uint64_t seed;
  uint64_t philox_draws = 0;
  at::Generator cpu = at::detail::createCPUGenerator(seed);

  Tensor draw(at::IntArrayRef shape) {
    if (rng == Rng::cpu) return at::randn(shape, cpu, at::kFloat);
    const Tensor normal = philox_randn(shape, seed, philox_draws);
    if (normal.numel() > 0) ++philox_draws;  // CUDA starts no kernel for nothing
    return normal;
  }
};

Noise::Noise(Rng rng, uint64_t seed) : stream_(std::make_shared<Stream>(Stream{rng, seed})) {}

Tensor Noise::draw(at::IntArrayRef shape) {
  if (!stream_) throw std::logic_error("noise drawn from a stream that was never seeded");
  return stream_->draw(shape);
}

}  // namespace steplapse
