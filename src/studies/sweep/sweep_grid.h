#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "studies/sweep/sweep_distances.h"

namespace steplapse {

struct SweepGridOptions {
  std::string x = {}, y = {};  ///< names of axes; empty: `steps` and `sampler` where they are, else the last ones
  std::optional<int64_t> cell_size = {};  ///< as PictureGrid
};

/// The final pictures of a sweep by two of its axes; each choice of points of the other axes is a page.
class SweepGrid {
 public:
  /// @param sweep  must outlive it
  /// @throws UsageError  there is no such axis, or both are one
  explicit SweepGrid(const Sweep& sweep, SweepGridOptions options = {});

  size_t pages() const { return pages_; }
  /// The bytes of a PNG file. @param page  from 0 @throws UsageError  as png_of; OutputError, as check_fonts
  std::string png(size_t page) const;

  /// The file of a page: grid.png, grid-2.png ... @param page  from 0
  static std::filesystem::path file_of(const std::filesystem::path& first, size_t page);

 private:
  std::optional<size_t> axis_named(const std::string& flag, const std::string& name) const;
  void choose_axes();
  std::vector<size_t> points_on(size_t page) const;
  std::string title_of(const std::vector<size_t>& points) const;
  std::string about_of(size_t page) const;

  const Sweep& sweep_;
  SweepGridOptions options_;
  std::optional<size_t> x_, y_;  // axes; none: there is one column, one row
  std::vector<size_t> others_;   // the axes that make pages
  size_t pages_ = 1;
};

}  // namespace steplapse
