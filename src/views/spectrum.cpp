#include "views/spectrum.h"

#include <algorithm>
#include <cmath>

#include "base/aten.h"

namespace steplapse {
namespace {

constexpr double kRounding = 1e-9;  // of a frequency

/// The frequency of each wave of an image, [h, w], in cycles a sample.
Tensor frequencies(const Tensor& image) {
  const auto options = at::TensorOptions(at::kDouble);
  const Tensor rows = at::fft_fftfreq(image.size(1), 1.0, options),
               columns = at::fft_fftfreq(image.size(2), 1.0, options);
  return (rows.square().unsqueeze(1) + columns.square().unsqueeze(0)).sqrt();
}

/// The power of each wave, [h, w].
Tensor power_of(const Tensor& image) {
  const auto samples = static_cast<double>(image.size(1) * image.size(2));
  return at::fft_fft2(image.to(at::kDouble)).abs().square().mean(0) / samples;
}

}  // namespace

std::vector<SpectrumRing> spectrum_of(const Tensor& image) {
  const auto side = static_cast<double>(std::max(image.size(1), image.size(2)));
  const Tensor ring = (frequencies(image) * side + 0.5 + kRounding).floor().to(at::kLong).flatten();
  const Tensor waves = at::bincount(ring), power = at::bincount(ring, power_of(image).flatten());
  std::vector<SpectrumRing> rings;
  for (int64_t frequency = 0; frequency < waves.numel(); ++frequency) {
    const auto count = waves[frequency].item<int64_t>();
    if (count == 0) continue;  // of a picture far longer than wide
    rings.push_back({frequency, power[frequency].item<double>() / static_cast<double>(count), count});
  }
  return rings;
}

std::array<double, kFrequencyBands.size()> rms_by_band(const Tensor& image) {
  const Tensor share = frequencies(image) / 0.5, power = power_of(image);
  const auto samples = static_cast<double>(power.numel());
  std::array<double, kFrequencyBands.size()> rms{};
  for (size_t i = 0; i < rms.size(); ++i) {
    const auto& [name, low, high] = kFrequencyBands[i];
    const Tensor inside = at::logical_and(share > low + kRounding, share <= high + kRounding);
    rms[i] = std::sqrt(power.masked_select(inside).sum().item<double>() / samples);
  }
  return rms;
}

}  // namespace steplapse
