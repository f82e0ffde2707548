#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "views/picture.h"

namespace steplapse {

/// A run's part of one of a film's pictures.
struct FilmCell {
  std::vector<Picture> pictures;    ///< one, or two of a kind each
  std::vector<std::string> labels;  ///< lines below them; of all cells alike many
};

/// Where the cells of a film stand: side by side in one or more rows, with room for their labels.
class FilmLayout {
 public:
  /// @param cells  those of one picture; the others have as many, of the same sizes
  /// @param scale  how many pixels a pixel is wide and high; none: what makes small pictures 256 pixels wide
  explicit FilmLayout(const std::vector<FilmCell>& cells, std::optional<int64_t> scale);

  int64_t width() const { return width_; }  ///< pixels, even; so video can halve its colours
  int64_t height() const { return height_; }
  Picture picture(const std::vector<FilmCell>& cells) const;

 private:
  int64_t scale_ = 1, columns_ = 1;
  int64_t picture_width_ = 0, picture_height_ = 0, labels_height_ = 0;
  bool side_by_side_ = false;  ///< the pictures of a cell; else one below the other
  int64_t cell_width_ = 0, cell_height_ = 0, width_ = 0, height_ = 0;
};

}  // namespace steplapse
