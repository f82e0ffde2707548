#include "sampling/philox.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

namespace steplapse {
namespace {

struct Product {
  uint32_t high, low;
};

Product multiply(uint32_t a, uint32_t b) {
  const uint64_t product = uint64_t{a} * b;
  return {static_cast<uint32_t>(product >> 32), static_cast<uint32_t>(product)};
}

uint32_t low_word(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t high_word(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

/// The first of the two normal numbers that cuRAND's Box-Muller makes of two random words. The uniform numbers are
/// float32 as there (near u = 1 their rounding shows), with the multiply-add that nvcc makes of it.
float box_muller(uint32_t x, uint32_t y) {
  constexpr float kUnit = 0x1p-32f;  // to (0, 1]
  constexpr float kTurn = kUnit * (2 * std::numbers::pi_v<float>);
  const float u = std::fma(static_cast<float>(x), kUnit, kUnit / 2);
  const float v = std::fma(static_cast<float>(y), kTurn, kTurn / 2);
  return static_cast<float>(std::sqrt(-2 * std::log(double{u})) * std::sin(double{v}));
}

}  // namespace

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const Product a = multiply(0xD2511F53, counter[0]);
    const Product b = multiply(0xCD9E8D57, counter[2]);
    counter = {b.high ^ counter[1] ^ key[0], b.low, a.high ^ counter[3] ^ key[1], a.low};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

Tensor philox_randn(at::IntArrayRef shape, uint64_t seed, uint64_t draw) {
  Tensor normal = at::empty(shape, at::kFloat);
  float* const values = normal.data_ptr<float>();
  for (uint64_t i = 0, n = static_cast<uint64_t>(normal.numel()); i < n; ++i) {
    const auto words =
        philox4x32_10({low_word(draw), high_word(draw), low_word(i), high_word(i)}, {low_word(seed), high_word(seed)});
    values[i] = box_muller(words[0], words[1]);
  }
  return normal;
}

}  // namespace steplapse
