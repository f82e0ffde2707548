#include "views/spectrum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/aten.h"

namespace steplapse {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

/// [1, h, w]: a wave of so many periods down and across.
Tensor wave(int64_t height, int64_t width, double down, double across) {
  const Tensor rows = at::arange(height, at::kDouble).view({1, height, 1}) * (down / static_cast<double>(height)),
               columns = at::arange(width, at::kDouble).view({1, 1, width}) * (across / static_cast<double>(width));
  return ((rows + columns) * (2 * std::numbers::pi)).cos();
}

double mean_power(const std::vector<SpectrumRing>& rings) {
  double sum = 0, waves = 0;
  for (const SpectrumRing& ring : rings) {
    sum += ring.power * static_cast<double>(ring.waves);
    waves += static_cast<double>(ring.waves);
  }
  return sum / waves;
}

// cos has mean square 1/2, all of it in the two waves of its frequency: |F|² / (h w) is (h w / 2)² / (h w) for each.
TEST(Spectrum, OfACosineIsInTheRingOfItsFrequency) {
  for (const auto& [down, across, frequency] : {std::tuple(3, 0, 3), {0, 5, 5}, {3, 4, 5}, {1, 1, 1}, {2, 2, 3}}) {
    for (const SpectrumRing& ring : spectrum_of(wave(16, 16, down, across))) {
      const double of_ring = ring.power * static_cast<double>(ring.waves);
      EXPECT_NEAR(of_ring, ring.frequency == frequency ? 256 * 0.5 : 0, 1e-9) << down << ' ' << across;
    }
  }
}

TEST(Spectrum, OfOneColourIsAtFrequency0) {
  const auto rings = spectrum_of(at::full({2, 8, 8}, 3, at::kFloat));
  EXPECT_EQ(rings[0].frequency, 0);
  EXPECT_EQ(rings[0].waves, 1);
  EXPECT_NEAR(rings[0].power, 9 * 64, 1e-9);
  EXPECT_NEAR(mean_power(rings), 9, 1e-9);
}

TEST(Spectrum, HasTheMeanSquareAsItsMean) {
  for (const auto& [height, width] : {std::pair(8, 8), {12, 8}, {7, 13}, {1, 5}, {1, 1}}) {
    const Tensor image = at::randn({3, height, width}, at::kDouble) + 0.5;
    EXPECT_NEAR(mean_power(spectrum_of(image)), image.square().mean().item<double>(), 1e-12);
  }
}

TEST(Spectrum, OfWhiteNoiseIsFlat) {
  at::manual_seed(1);
  for (const SpectrumRing& ring : spectrum_of(2 * at::randn({64, 32, 32}, at::kDouble))) {
    const double deviation = 4 / std::sqrt(64 * static_cast<double>(ring.waves) / 2);  // waves come in pairs
    EXPECT_NEAR(ring.power, 4, 5 * deviation) << ring.frequency;
  }
}

TEST(Spectrum, CountsCyclesAcrossTheLongerSide) {
  // One cycle across 8 of 16 columns' length is two across the longer side.
  for (const SpectrumRing& ring : spectrum_of(wave(8, 16, 1, 0)))
    EXPECT_NEAR(ring.power * static_cast<double>(ring.waves), ring.frequency == 2 ? 64 : 0, 1e-9);
}

TEST(Bands, ShareTheMeanSquareAmongThem) {
  const Tensor image = 2 + 3 * wave(16, 16, 1, 0) + 4 * wave(16, 16, 0, 3) + 5 * wave(16, 16, 6, 0);
  const double half = std::sqrt(0.5);
  EXPECT_THAT(rms_by_band(image), ElementsAre(DoubleNear(2, 1e-9), DoubleNear(3 * half, 1e-9),
                                              DoubleNear(4 * half, 1e-9), DoubleNear(5 * half, 1e-9)));
  EXPECT_EQ(rms_by_band(at::randn({1, 4, 4}))[1], 0);  // its coarsest wave is half of the finest
}

}  // namespace
}  // namespace steplapse
