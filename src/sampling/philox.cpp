#include "sampling/philox.h"

#include <ATen/core/PhiloxRNGEngine.h>

#include <cmath>
#include <numbers>

#include "base/aten.h"

namespace steplapse {
namespace {

/// The first of the two normal numbers that cuRAND's Box-Muller makes of two random words. The uniform numbers are
/// float32 as in cuRAND, since their rounding shows near u = 1, and use the fused multiply-add that nvcc emits.
float box_muller(uint32_t x, uint32_t y) {
  constexpr float kUnit = 0x1p-32f;  // to (0, 1]
  constexpr float kTurn = kUnit * (2 * std::numbers::pi_v<float>);
  const float u = std::fma(static_cast<float>(x), kUnit, kUnit / 2);
  const float v = std::fma(static_cast<float>(y), kTurn, kTurn / 2);
  return static_cast<float>(std::sqrt(-2 * std::log(double{u})) * std::sin(double{v}));
}

}  // namespace

Tensor philox_randn(at::IntArrayRef shape, uint64_t seed, uint64_t draw) {
  Tensor normal = at::empty(shape, at::kFloat);
  float* const values = normal.data_ptr<float>();
  for (uint64_t i = 0, n = static_cast<uint64_t>(normal.numel()); i < n; ++i) {
    at::Philox4_32 engine(seed, /*subsequence=*/i, /*offset=*/draw);
    const uint32_t x = engine(), y = engine();
    values[i] = box_muller(x, y);
  }
  return normal;
}

}  // namespace steplapse
