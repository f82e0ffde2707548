#include "views/picture.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <stdexcept>

#include "base/aten.h"

namespace steplapse {

Picture picture_of(const Tensor& image, const std::string& what) {
  if (!at::isfinite(image).all().item<bool>()) throw std::runtime_error(what + ": the decoded picture is not finite");
  const Tensor pixels = ((image[0] / 2 + 0.5).clamp(0, 1) * 255).round().to(at::kByte).permute({1, 2, 0}).contiguous();
  const auto* data = pixels.const_data_ptr<uint8_t>();
  return {pixels.size(1), pixels.size(0), {data, data + pixels.numel()}};
}

Picture reduced(const Picture& picture, int64_t factor) {
  Picture small{(picture.width + factor - 1) / factor, (picture.height + factor - 1) / factor, {}};
  for (int64_t y = 0; y < picture.height; y += factor) {
    const int64_t bottom = std::min(picture.height, y + factor);
    for (int64_t x = 0; x < picture.width; x += factor) {
      const int64_t right = std::min(picture.width, x + factor), pixels = (bottom - y) * (right - x);
      for (int64_t colour = 0; colour < 3; ++colour) {
        int64_t sum = pixels / 2;  // so that the quotient is rounded
        for (int64_t row = y; row < bottom; ++row) {
          for (int64_t column = x; column < right; ++column)
            sum += picture.rgb[static_cast<size_t>((row * picture.width + column) * 3 + colour)];
        }
        small.rgb.push_back(static_cast<uint8_t>(sum / pixels));
      }
    }
  }
  return small;
}

Tensor luminance_of(const Picture& picture) {
  const Tensor weights = at::tensor({0.2126, 0.7152, 0.0722}, at::kDouble);
  const Tensor pixels = at::tensor(picture.rgb, at::kByte).view({picture.height, picture.width, 3});
  return pixels.to(at::kDouble).matmul(weights).unsqueeze(0);
}

FrameChange change_between(const Picture& before, const Picture& now, int64_t step) {
  double absolute = 0, squared = 0;
  for (size_t i = 0; i < now.rgb.size(); ++i) {
    const double difference = static_cast<double>(now.rgb[i]) - before.rgb[i];
    absolute += std::abs(difference);
    squared += difference * difference;
  }
  const auto count = static_cast<double>(now.rgb.size());
  return {absolute / count, 10 * std::log10(255.0 * 255.0 * count / squared), step};
}

namespace {

/// Where a change of 0 to 255 lies on the scale of 0 to 1.
double on_scale(double change) { return std::log2(1 + change) / 8; }

}  // namespace

std::array<uint8_t, 3> heat_colour(double place) {
  std::array<uint8_t, 3> rgb{};
  for (size_t colour = 0; colour < 3; ++colour) {
    rgb[colour] =
        static_cast<uint8_t>(std::lround(255 * std::clamp(3 * place - static_cast<double>(colour), 0.0, 1.0)));
  }
  return rgb;
}

Picture heat_map(const Picture& before, const Picture& now) {
  Picture map = now;
  for (size_t i = 0; i < now.rgb.size(); i += 3) {
    int sum = 0;
    for (size_t colour = i; colour < i + 3; ++colour) sum += std::abs(now.rgb[colour] - before.rgb[colour]);
    std::ranges::copy(heat_colour(on_scale(sum / 3.0)), map.rgb.begin() + static_cast<ptrdiff_t>(i));
  }
  return map;
}

Picture signed_map(const Picture& before, const Picture& now) {
  Picture map = now;
  for (size_t i = 0; i < now.rgb.size(); ++i) {
    const int change = now.rgb[i] - before.rgb[i];
    map.rgb[i] = static_cast<uint8_t>(std::lround(128 + std::copysign(127 * on_scale(std::abs(change)), change)));
  }
  return map;
}

}  // namespace steplapse
