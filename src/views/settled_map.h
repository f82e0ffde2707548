#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "views/picture.h"

namespace steplapse {

/// When each pixel came near to its end: the first step from which on its colour stays there.
struct SettledMap {
  std::vector<int64_t> compared;  ///< the steps whose pictures were looked at, rising; the last one's is the end
  int64_t width = 0, height = 0;
  std::vector<int64_t> steps;  ///< of each pixel, one of `compared`; [height, width], row by row from the top
};

/// A colour is near where red, green and blue each differ by at most this, of 0 to 255.
inline constexpr int kNearColour = 16;

/// @param steps    one or more, rising
/// @param picture  of a step; all of one size. It is asked from the last step back, once for each
/// @param near     0 to 255, as kNearColour
SettledMap settled_map(const std::vector<int64_t>& steps, const std::function<Picture(int64_t step)>& picture,
                       int near);

/// Of each compared step, the share of pixels that have settled at it or before. The last is 1.
std::vector<double> settled_shares(const SettledMap& map);

/// The map in the colours of heat_map: black settled at the first of the compared steps, white at the last, and between
/// them a step's place in the list counts.
Picture picture_of(const SettledMap& map);
inline constexpr const char* kSettledMapScale =
    "the first step from which on a pixel's colour stays near its end, from the first step, black, over red and yellow "
    "to "
    "the last, white";

}  // namespace steplapse
