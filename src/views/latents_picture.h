#pragma once

#include <cstdint>

#include "steplapse/noise_level.h"
#include "steplapse/tensor.h"
#include "views/picture.h"

namespace steplapse {

/// A channel of noisy latents as a grey picture of their own size. They are divided by sqrt(alpha² + sigma²), which makes
/// them about 1 in size at every level of every model. Then 0 is grey (128), -kWhiteLatents black and kWhiteLatents white.
/// @param latents  [1, C, h, w] at `level`. Numbers that are not finite are grey
Picture channel_picture(const Tensor& latents, int64_t channel, const NoiseLevel& level);

inline constexpr double kWhiteLatents = 3;
inline constexpr const char* kChannelScale =
    "divided by sqrt(alpha² + sigma²); black is -3 or less, grey 0, white 3 or more";

}  // namespace steplapse
