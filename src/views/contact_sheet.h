#pragma once

#include <optional>
#include <string>
#include <vector>

#include "views/frames.h"

namespace steplapse {

/// A picture with a line under it; without a picture its place is empty.
struct SheetCell {
  std::optional<Picture> picture;
  std::string label;
};

/// A row of pictures, with its name above them.
struct SheetRow {
  std::string name;
  std::vector<SheetCell> cells;
};

/// Pictures in rows, one below the other, as the bytes of a PNG file. Small pictures are shown larger by a whole factor,
/// so that their labels have room. Equal input gives equal bytes on a machine.
std::string contact_sheet(const std::vector<SheetRow>& rows);

}  // namespace steplapse
