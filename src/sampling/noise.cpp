#include "steplapse/noise.h"

#include <ATen/CPUGeneratorImpl.h>

#include <stdexcept>

#include "base/aten.h"
#include "base/names.h"
#include "sampling/philox.h"

namespace steplapse {

static constexpr ValueNames<Rng, 2> kRngs{{{"cpu", Rng::cpu}, {"philox", Rng::philox}}};

Rng rng_named(std::string_view name) { return value_named(kRngs, name, "rng"); }
std::string_view name_of(Rng rng) { return name_in(kRngs, rng); }

struct Noise::Stream {
  Rng rng;
  uint64_t seed;
  uint64_t philox_draws = 0;
  at::Generator cpu = at::detail::createCPUGenerator(seed);

  Tensor draw(at::IntArrayRef shape) {
    if (rng == Rng::cpu) return at::randn(shape, cpu, at::kFloat);
    const Tensor normal = philox_randn(shape, seed, philox_draws);
    if (normal.numel() > 0) ++philox_draws;  // for an empty tensor CUDA starts no kernel
    return normal;
  }
};

Noise::Noise(Rng rng, uint64_t seed) : stream_(std::make_shared<Stream>(Stream{rng, seed})) {}

Tensor Noise::draw(at::IntArrayRef shape) {
  if (!stream_) throw std::logic_error("noise drawn from a stream that was never seeded");
  return stream_->draw(shape);
}

}  // namespace steplapse
