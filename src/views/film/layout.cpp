#include "views/film/layout.h"

#include <algorithm>

#include "views/canvas.h"

namespace steplapse {
namespace {

constexpr int64_t kUsualWidth = 256;     // of a picture that is small
constexpr int64_t kLeastLabelled = 208;  // a cell is so wide at least, where there is something to read
constexpr int64_t kGap = 8, kMostColumns = 6;
constexpr int64_t kLine = 20;  // of labels
constexpr double kLabelSize = 13;
constexpr Colour kPaper = {1, 1, 1};

int64_t even(int64_t pixels) { return pixels + pixels % 2; }

}  // namespace

FilmLayout::FilmLayout(const std::vector<FilmCell>& cells, std::optional<int64_t> scale) {
  for (const FilmCell& cell : cells) {
    for (const Picture& picture : cell.pictures) {
      picture_width_ = std::max(picture_width_, picture.width);
      picture_height_ = std::max(picture_height_, picture.height);
    }
  }
  scale_ = scale.value_or((kUsualWidth + picture_width_ - 1) / picture_width_);
  picture_width_ *= scale_;
  picture_height_ *= scale_;
  const auto kinds = static_cast<int64_t>(cells.front().pictures.size());
  const auto lines = static_cast<int64_t>(cells.front().labels.size());
  side_by_side_ = cells.size() == 1;
  columns_ = std::min(static_cast<int64_t>(cells.size()), kMostColumns);
  const int64_t rows = (static_cast<int64_t>(cells.size()) + columns_ - 1) / columns_;
  const int64_t across = side_by_side_ ? kinds : 1, down = side_by_side_ ? 1 : kinds;

  labels_height_ = lines * kLine;
  cell_width_ = across * picture_width_ + (across - 1) * kGap;
  if (lines > 0) cell_width_ = std::max(cell_width_, kLeastLabelled);
  cell_height_ = down * picture_height_ + (down - 1) * kGap + labels_height_;
  width_ = even(columns_ * cell_width_ + (columns_ - 1) * kGap);
  height_ = even(rows * cell_height_ + (rows - 1) * kGap);
}

Picture FilmLayout::picture(const std::vector<FilmCell>& cells) const {
  Canvas canvas(width_, height_, kPaper);
  for (size_t i = 0; i < cells.size(); ++i) {
    const auto place = static_cast<int64_t>(i);
    int64_t left = place % columns_ * (cell_width_ + kGap), top = place / columns_ * (cell_height_ + kGap);
    auto label_top = static_cast<double>(top + cell_height_ - labels_height_);
    for (const std::string& label : cells[i].labels) {
      canvas.text(static_cast<double>(left) + 2, label_top,
                  {.text = label, .size = kLabelSize, .most_width = static_cast<double>(cell_width_ - 4)});
      label_top += kLine;
    }
    for (const Picture& shown : cells[i].pictures) {
      canvas.picture(left, top, shown, scale_);
      (side_by_side_ ? left : top) += kGap + (side_by_side_ ? picture_width_ : picture_height_);
    }
  }
  return canvas.to_picture();
}

}  // namespace steplapse
