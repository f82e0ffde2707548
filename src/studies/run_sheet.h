#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runs/options.h"
#include "runs/run_pictures.h"
#include "views/contact_sheet.h"
#include "views/frame_selection.h"
#include "views/pace.h"
#include "views/settled_map.h"

namespace steplapse {

/// What the sheet of a run shows.
struct SheetOptions {
  std::filesystem::path run;                  ///< its folder
  std::vector<std::filesystem::path> others;  ///< more runs, each at the first one's noise levels
  std::vector<FrameKind> rows{FrameKind::x0, FrameKind::xt};
  bool latents = false;  ///< below them a row for each channel of the latents
  int64_t columns = 8;   ///< 1 or more
  Pace pace = Pace::step;
  bool settled = false;    ///< the settled map of the run in place of all this
  int near = kNearColour;  ///< of the settled map
  std::optional<PictureScale> scale = {};
  PictureOptions pictures = {};
};

/// The sheet as the bytes of a PNG file. That of a single run has the texts of its pictures.
/// @throws UsageError, OutputError  as RunPictures; a row that no run has; a sheet that is too large; no font is installed
std::string sheet_of_runs(const SheetOptions& options);

}  // namespace steplapse
