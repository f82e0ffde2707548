#include "views/latents_picture.h"

#include <cmath>

#include "base/aten.h"

namespace steplapse {

Picture channel_picture(const Tensor& latents, int64_t channel, const NoiseLevel& level) {
  const Tensor size_1 = latents[0][channel].to(at::kDouble) / std::hypot(level.alpha, level.sigma);
  const Tensor grey = at::nan_to_num(size_1 / kWhiteLatents, 0.0).clamp(-1, 1) * 127.5 + 127.5;
  const Tensor pixels = (grey + 0.5).floor().clamp(0, 255).to(at::kByte).unsqueeze(2).expand({-1, -1, 3}).contiguous();
  const auto* data = pixels.const_data_ptr<uint8_t>();
  return {pixels.size(1), pixels.size(0), {data, data + pixels.numel()}};
}

}  // namespace steplapse
