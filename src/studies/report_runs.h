#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "views/frame_selection.h"

namespace steplapse {

/// A run that a report is asked for.
struct NamedRun {
  std::filesystem::path folder;
  bool by_itself;  ///< whether the user named it, and not a folder that it is in
};

/// The runs that paths name, each once: runs' folders, and those in folders of runs.
/// @throws UsageError  no run is at one of them
std::vector<NamedRun> report_runs(const std::vector<std::filesystem::path>& paths);

/// A path that ends in a name: runs/a for runs/a/.
std::filesystem::path without_slash(const std::filesystem::path& path);

inline constexpr size_t kMostPageBytes = 10'000'000;  ///< so that a page can be sent, and opens on a phone

/// Which frames of the runs a page has room for.
struct FrameChoice {
  std::set<FrameKind> kinds;
  int64_t every = 1;  ///< the steps that are multiples of this, and each run's first and last

  /// @param steps  of the run
  bool has(FrameKind kind, int64_t step, int64_t steps) const;
  std::string left_out() const;  ///< a sentence on it, with a blank before it; "": nothing
};

/// The choice for all runs together.
/// @param is_beside  whether the pictures lie in a folder beside the page; then all have room
/// @throws UsageError  what is said of the runs would be too much for a page, without any picture
FrameChoice frames_with_room(const std::vector<NamedRun>& runs, bool is_beside);

}  // namespace steplapse
