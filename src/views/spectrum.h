#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "steplapse/tensor.h"

namespace steplapse {

// How much of an image lies in coarse forms, and how much in details: its power by spatial frequency.
//
// The discrete Fourier transform F over rows and columns writes the image as a sum of waves. The power of a wave is
// |F|² / (h w), averaged over the channels. There is no window, and the mean stays in: it is the wave of frequency 0. So
// white noise of rms 1 has power 1 at every frequency, and the mean power of all waves is the image's mean square
// (Parseval).

/// The waves of about one frequency, whatever their direction.
struct SpectrumRing {
  int64_t frequency = 0;  ///< cycles across the longer side of the picture, rounded, halves up; 0 is the mean alone
  double power = 0;       ///< the mean over its waves
  int64_t waves = 0;      ///< how many there are. Above half of the longer side's samples they lie in the corners of F
};

/// The rings that an image of this size has, by frequency.
/// @param image  [C, h, w]
std::vector<SpectrumRing> spectrum_of(const Tensor& image);

/// Frequencies above `low`, up to `high`, as shares of the finest that rows and columns can have: half a cycle a sample.
struct FrequencyBand {
  const char* name;
  double low, high;
};
inline constexpr std::array kFrequencyBands{FrequencyBand{"colours", -1, 0}, FrequencyBand{"coarse form", 0, 0.25},
                                            FrequencyBand{"middle", 0.25, 0.5}, FrequencyBand{"details", 0.5, 2}};

/// The rms of the part of an image that lies in each band; their squares add up to its mean square. 0 where an image of
/// this size has no such wave. @param image  as above
std::array<double, kFrequencyBands.size()> rms_by_band(const Tensor& image);

}  // namespace steplapse
