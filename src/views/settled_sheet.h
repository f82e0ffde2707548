#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/png.h"
#include "views/contact_sheet.h"
#include "views/settled_map.h"

namespace steplapse {

/// A run's last picture, the map of when its pixels settled, and the map's scale with the share of pixels settled by then.
struct SettledSheet {
  std::string title, about;  ///< as ContactSheet
  SettledMap map;
  Picture end;                             ///< of the map's size
  int near = kNearColour;                  ///< with which the map was made
  std::optional<PictureScale> scale = {};  ///< none: each picture is shown 256 pixels wide or more, at most 512
};

/// The bytes of a PNG file. @param texts  as encode_png
/// @throws UsageError  the sheet would have a side above 32,767 pixels
std::string png_of(const SettledSheet& sheet, const std::vector<PngText>& texts = {});

}  // namespace steplapse
