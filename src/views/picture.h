#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "steplapse/step_row.h"
#include "steplapse/tensor.h"

namespace steplapse {

/// An 8-bit RGB picture, [height, width, 3], row by row from the top.
struct Picture {
  int64_t width, height;
  std::vector<uint8_t> rgb;
};

/// The 8-bit pixels of a decoded image, [1, 3, H, W] in [-1, 1], rounded as in diffusers' VaeImageProcessor.
/// @throws std::runtime_error  the image has NaN or infinity; the text begins with `what`
Picture picture_of(const Tensor& image, const std::string& what);

/// A smaller picture: each pixel is the mean of a square of `factor` times `factor`, or of what of it there is at the right
/// and lower edge.
Picture reduced(const Picture& picture, int64_t factor);

/// How light each pixel is, [1, height, width], 0 to 255: Rec. 709's weights on the sRGB values as they stand.
Tensor luminance_of(const Picture& picture);

/// The change between two pictures of equal size.
/// @param step  the step of the picture `before`
FrameChange change_between(const Picture& before, const Picture& now, int64_t step);

// The change as a picture. Its scale is fixed, so that frames of any two runs can be compared: a change of c, 0 to 255, is
// at log2(1 + c) / 8. So small changes show beside large ones, and each eighth of the scale doubles 1 + c.

/// The colour of a place from 0 to 1 on that scale: black, red, yellow, white.
std::array<uint8_t, 3> heat_colour(double place);

/// A heat map of the mean change of red, green and blue: black, red, yellow, white.
Picture heat_map(const Picture& before, const Picture& now);
inline constexpr const char* kHeatMapScale =
    "c is the mean change of red, green and blue; log2(1 + c) / 8 goes from 0, black, over red and yellow to 1, white";

/// Each colour by itself: grey (128) where it stayed, brighter where it rose, darker where it fell.
Picture signed_map(const Picture& before, const Picture& now);
inline constexpr const char* kSignedMapScale =
    "each colour is 128 + 127 * sign(c) * log2(1 + |c|) / 8 for its change c; grey where it stayed";

}  // namespace steplapse
