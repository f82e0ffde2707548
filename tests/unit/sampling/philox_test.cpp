#include "sampling/philox.h"

#include <ATen/core/PhiloxRNGEngine.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/aten.h"
#include "support/tensor_values.h"

namespace steplapse {
namespace {

using testing::FloatNear;
using testing::Pointwise;

using Words = std::array<uint32_t, 4>;

uint64_t joined(uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; }

/// The four random words of a counter and key from the engine that philox_randn uses.
Words philox4x32_10(Words counter, std::array<uint32_t, 2> key) {
  at::Philox4_32 engine(joined(key[0], key[1]), joined(counter[2], counter[3]), joined(counter[0], counter[1]));
  Words words;
  for (uint32_t& word : words) word = engine();
  return words;
}

// Random123, examples/kat_vectors, the lines of philox4x32 with 10 rounds.
TEST(Philox, GivesTheKnownAnswersOfRandom123) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32_10({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// Printed by a Turing GPU after manual_seed(0), as x, bias and y of three calls of randn:
// github.com/kapilsh/cuda-mode-lecture, the output of fused_kernels_lora_test.
TEST(Philox, GivesWhatAGpuPrinted) {
  EXPECT_THAT(
      values(philox_randn({8, 10}, 0, 0)),
      Pointwise(FloatNear(6e-5f),
                {-0.9247f, -0.4253f, -2.6438f, 0.1452f,  -0.1209f, -0.5797f, -0.6229f, -0.3284f, -1.0745f, -0.3631f,
                 -1.6711f, 2.2655f,  0.3117f,  -0.1842f, 1.2866f,  1.1820f,  -0.1271f, 1.2169f,  1.4353f,  1.0605f,
                 -0.4941f, -1.4244f, -0.7244f, -1.2973f, 0.0697f,  -0.0074f, 1.8969f,  0.6878f,  -0.0779f, -0.8373f,
                 1.3506f,  -0.2879f, -0.5965f, -0.3283f, -0.9086f, -0.8059f, -0.7407f, -0.0504f, 0.5435f,  1.5150f,
                 0.0141f,  0.4532f,  1.6349f,  0.7124f,  -0.1806f, 1.0252f,  -1.4622f, -0.7554f, -0.1836f, 0.3824f,
                 0.3918f,  -0.0830f, 0.8971f,  -1.1123f, 0.1116f,  0.4863f,  -0.5499f, -0.3231f, -0.5469f, 0.9049f,
                 0.2837f,  0.1210f,  0.4730f,  -1.0823f, -0.0334f, -0.9734f, 0.9559f,  -1.1795f, -1.0064f, 0.1160f,
                 0.6852f,  -0.4124f, -0.6738f, -0.5404f, 0.6898f,  -1.5517f, 0.3805f,  -0.0436f, 0.3597f,  -0.5043f}));
  EXPECT_THAT(values(philox_randn({10}, 0, 1)),
              Pointwise(FloatNear(6e-5f),
                        {0.1808f, -0.5523f, 0.9238f, -0.7350f, 1.3800f, 0.8676f, 0.1297f, -0.9406f, 0.8109f, 0.8821f}));
  EXPECT_THAT(values(philox_randn({20}, 0, 2)),
              Pointwise(FloatNear(6e-5f), {2.5441f, -0.7163f, -0.4934f, 0.1267f, 0.1014f,  -0.4035f, 0.9023f,
                                           0.8099f, -0.6884f, 0.1372f,  1.0377f, 0.0925f,  -0.3752f, -0.0908f,
                                           2.0639f, -1.8164f, -0.2719f, 0.2811f, -1.0399f, 0.7765f}));
}

// The example in the description of A1111's rng_philox.py, which imitates CUDA's randn.
TEST(Philox, GivesTheNumbersOfA1111) {
  EXPECT_THAT(
      values(philox_randn({3, 4}, 0, 0)),
      Pointwise(FloatNear(1e-6f), {-0.92466259f, -0.42534415f, -2.6438457f, 0.14518388f, -0.12086647f, -0.57972564f,
                                   -0.62285122f, -0.32838709f, -1.07454231f, -0.36314407f, -1.67105067f, 2.26550497f}));
}

TEST(Philox, IsNormal) {
  const int64_t n = 1 << 20;
  const Tensor x = philox_randn({n}, 948574399, 3).to(at::kDouble);
  const double bound = 4 / std::sqrt(static_cast<double>(n));  // of a mean of n numbers with variance 1: 4 sigma
  EXPECT_NEAR(x.mean().item<double>(), 0, bound);
  EXPECT_NEAR(x.pow(2).mean().item<double>(), 1, bound * std::sqrt(2.0));
  EXPECT_NEAR(x.pow(3).mean().item<double>(), 0, bound * std::sqrt(15.0));
  EXPECT_NEAR(x.pow(4).mean().item<double>(), 3, bound * std::sqrt(96.0));
  EXPECT_NEAR((x.slice(0, 1) * x.slice(0, 0, n - 1)).mean().item<double>(), 0, bound);
}

// A word of 0 stands for u = 2^-33: the largest radius there is, sqrt(-2 ln u), and no infinity.
TEST(Philox, TurnsTheSmallestWordIntoTheLargestRadius) {
  const uint64_t draw = 5145262111;  // the first whose first word for seed 0 is 0
  const Words words = philox4x32_10({static_cast<uint32_t>(draw), static_cast<uint32_t>(draw >> 32), 0, 0}, {0, 0});
  ASSERT_EQ(words[0], 0u);
  const double angle = 2 * std::numbers::pi * words[1] / 0x1p32;
  EXPECT_NEAR(philox_randn({1}, 0, draw).item<float>(), std::sqrt(66 * std::numbers::ln2) * std::sin(angle), 2e-6);
}

TEST(Philox, UsesAllBitsOfSeedAndDraw) {
  const Tensor x = philox_randn({16}, 5, 0);
  EXPECT_FALSE(at::equal(x, philox_randn({16}, 5 + (uint64_t{1} << 32), 0)));
  EXPECT_FALSE(at::equal(x, philox_randn({16}, 5, uint64_t{1} << 32)));
}

}  // namespace
}  // namespace steplapse
