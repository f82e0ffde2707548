#include "views/settled_map.h"

#include <algorithm>
#include <cstdlib>

namespace steplapse {
namespace {

bool is_near(const Picture& a, const Picture& b, size_t pixel, int near) {
  for (size_t i = 3 * pixel; i < 3 * pixel + 3; ++i) {
    if (std::abs(a.rgb[i] - b.rgb[i]) > near) return false;
  }
  return true;
}

/// Its place in the list, from 0 to 1.
double place_of(int64_t step, const std::vector<int64_t>& steps) {
  const auto index = std::lower_bound(steps.begin(), steps.end(), step) - steps.begin();
  return steps.size() < 2 ? 0 : static_cast<double>(index) / static_cast<double>(steps.size() - 1);
}

}  // namespace

SettledMap settled_map(const std::vector<int64_t>& steps, const std::function<Picture(int64_t step)>& picture,
                       int near) {
  const Picture end = picture(steps.back());
  const auto pixels = static_cast<size_t>(end.width * end.height);
  SettledMap map{steps, end.width, end.height, std::vector<int64_t>(pixels, steps.back())};
  std::vector<bool> stays(pixels, true);
  for (auto step = steps.rbegin() + 1; step != steps.rend(); ++step) {
    const Picture now = picture(*step);
    for (size_t i = 0; i < pixels; ++i) {
      stays[i] = stays[i] && is_near(now, end, i, near);
      if (stays[i]) map.steps[i] = *step;
    }
  }
  return map;
}

std::vector<double> settled_shares(const SettledMap& map) {
  std::vector<double> shares;
  for (const int64_t step : map.compared) {
    const auto settled = std::count_if(map.steps.begin(), map.steps.end(), [&](int64_t each) { return each <= step; });
    shares.push_back(static_cast<double>(settled) / static_cast<double>(map.steps.size()));
  }
  return shares;
}

Picture picture_of(const SettledMap& map) {
  Picture picture{map.width, map.height, {}};
  picture.rgb.reserve(3 * map.steps.size());
  for (const int64_t step : map.steps) {
    const auto colour = heat_colour(place_of(step, map.compared));
    picture.rgb.insert(picture.rgb.end(), colour.begin(), colour.end());
  }
  return picture;
}

}  // namespace steplapse
