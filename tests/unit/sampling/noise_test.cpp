#include "steplapse/noise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "base/aten.h"
#include "sampling/philox.h"
#include "support/tensor_values.h"

namespace steplapse {
namespace {

using testing::FloatNear;
using testing::Pointwise;
using testing::StrEq;
using testing::ThrowsMessage;

/// torch.randn on the CPU by the book, for n a multiple of 16: 24-bit uniform numbers of a Mersenne twister, turned by
/// Box-Muller in groups of 8 radii and 8 angles.
std::vector<float> randn_of_mersenne_twister(std::mt19937& random, size_t n) {
  std::vector<float> x(n);
  for (float& uniform : x) uniform = static_cast<float>(random() & 0xffffff) * 0x1p-24f;
  for (size_t i = 0; i < n; i += 16) {
    for (size_t j = i; j < i + 8; ++j) {
      const float radius = std::sqrt(-2 * std::log(1 - x[j])), angle = 2 * std::numbers::pi_v<float> * x[j + 8];
      x[j] = radius * std::cos(angle);
      x[j + 8] = radius * std::sin(angle);
    }
  }
  return x;
}

TEST(Noise, CpuStreamIsTheMersenneTwistersAndGoesOn) {
  Noise noise(Rng::cpu, 948574399);
  std::mt19937 random(948574399);
  for (int draw = 0; draw < 3; ++draw) {
    EXPECT_THAT(values(noise.draw({1, 4, 8, 8})), Pointwise(FloatNear(2e-6f), randn_of_mersenne_twister(random, 256)));
  }
}

// As PyTorch prints torch.randn(2, 3) after torch.manual_seed(0).
TEST(Noise, CpuStreamGivesPublishedNumbers) {
  EXPECT_THAT(values(Noise(Rng::cpu, 0).draw({2, 3})),
              Pointwise(FloatNear(6e-5f), {1.5410f, -0.2934f, -2.1788f, 0.5684f, -1.0845f, -1.3986f}));
}

TEST(Noise, CpuUses32BitsOfASeed) {
  EXPECT_TRUE(at::equal(Noise(Rng::cpu, 7).draw({16}), Noise(Rng::cpu, 7 + (uint64_t{1} << 32)).draw({16})));
  EXPECT_FALSE(at::equal(Noise(Rng::cpu, 7).draw({16}), Noise(Rng::cpu, 8).draw({16})));
}

TEST(Noise, PhiloxDrawsFollowEachOther) {
  Noise noise(Rng::philox, 7);
  EXPECT_TRUE(at::equal(noise.draw({1, 2, 3, 3}), philox_randn({1, 2, 3, 3}, 7, 0)));
  noise.draw({0});
  EXPECT_TRUE(at::equal(noise.draw({5}), philox_randn({5}, 7, 1)));
}

TEST(Noise, CopiesShareAStreamAndStreamsShareNothing) {
  for (const Rng rng : {Rng::cpu, Rng::philox}) {
    Noise noise(rng, 1), copy = noise, other(rng, 1);
    const Tensor first = noise.draw({16}), second = copy.like(first);
    EXPECT_FALSE(at::equal(first, second));
    EXPECT_TRUE(at::equal(first, other.draw({16})));
    EXPECT_TRUE(at::equal(second, other.draw({16})));
  }
}

TEST(Noise, LeavesTheProcessGeneratorAlone) {
  at::manual_seed(3);
  const Tensor wanted = at::randn({16});
  at::manual_seed(3);
  Noise(Rng::cpu, 1).draw({16});
  EXPECT_TRUE(at::equal(at::randn({16}), wanted));
}

TEST(Noise, HasNoNumbersWithoutASeed) {
  EXPECT_THAT([] { Noise().draw({1}); },
              ThrowsMessage<std::logic_error>(StrEq("noise drawn from a stream that was never seeded")));
}

TEST(Noise, IsKnownByName) {
  EXPECT_EQ(rng_named("cpu"), Rng::cpu);
  EXPECT_EQ(rng_named("philox"), Rng::philox);
  EXPECT_EQ(name_of(Rng::philox), "philox");
  EXPECT_THAT([] { rng_named("cuda"); },
              ThrowsMessage<std::invalid_argument>(StrEq("unknown rng 'cuda'; choose from cpu, philox")));
}

}  // namespace
}  // namespace steplapse
