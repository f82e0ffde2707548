#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "steplapse/tensor.h"

namespace steplapse {

/// Where the latents of several runs went, in the plane in which all of them together are spread the widest: that of
/// their first two principal components.
struct Paths {
  using Point = std::array<double, 2>;   ///< along the first component and the second, from the mean of all latents
  std::vector<std::vector<Point>> runs;  ///< of each run, in its order
  std::array<double, 2> shares{};        ///< of all variance, that each component carries; 0 where nothing varies
};

inline constexpr int64_t kMostOfPaths = 4000;  ///< latents of all runs together: work grows with the cube

/// Lengths are rms: two points are as far apart as the root of the mean square over the latents' elements, or less, since
/// the plane leaves out the other components. Along each component the first run ends further on than it begins.
///
/// @param runs  of each run one latent or more, [1, C, h, w], all of one shape; at most kMostOfPaths together
///
/// Source: principal components by the eigenvectors of the centred latents' Gram matrix (economy: as many rows as latents).
Paths paths_of(const std::vector<std::vector<Tensor>>& runs);

}  // namespace steplapse
