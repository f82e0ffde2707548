#include "studies/sweep/sweep_grid.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/text.h"
#include "steplapse/error.h"
#include "views/canvas.h"
#include "views/picture_file.h"
#include "views/picture_grid.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

/// The texts of a point: "5", or "5, 7.5" of joined axes.
std::string point_label(const SweepAxis& axis, size_t point) {
  std::vector<std::string> texts;
  for (const auto& [name, text] : axis.points[point]) texts.push_back(text.empty() ? "(none)" : text);
  return joined(texts, ", ");
}

std::vector<std::string> point_labels(const SweepPlan& plan, std::optional<size_t> axis) {
  if (!axis) return {""};
  std::vector<std::string> labels;
  for (size_t i = 0; i < plan.axes[*axis].points.size(); ++i) labels.push_back(point_label(plan.axes[*axis], i));
  return labels;
}

/// "red apple" of a prompt, "seed 7" of others.
std::string named_label(const std::string& name, const std::string& text) {
  return name == "prompt" ? text : name + " " + (text.empty() ? "(none)" : text);
}

/// Whether an axis is called so, or joins several of which one is.
bool is_called(const SweepAxis& axis, const std::string& name) {
  return axis.name == name || ("," + axis.name + ",").find("," + name + ",") != std::string::npos;
}

size_t cell_at(const SweepPlan& plan, const std::vector<size_t>& points) {
  size_t cell = 0;
  for (size_t i = 0; i < points.size(); ++i) cell = cell * plan.axes[i].points.size() + points[i];
  return cell;
}

GridCell grid_cell(const Sweep& sweep, size_t cell) {
  const auto& row = sweep.rows[cell];
  if (!row) return {.picture = {}, .instead = "missing"};
  if (!has_end(row)) return {.picture = {}, .instead = row->status, .detail = row->reason};
  try {
    return {.picture = read_picture(sweep.folder / row->folder / "final.png")};
  } catch (const std::exception& error) {
    return {.picture = {}, .instead = "no picture", .detail = error.what()};
  }
}

/// The longest sides of all cells' pictures.
std::pair<int64_t, int64_t> largest_picture(const Sweep& sweep) {
  int64_t width = 1, height = 1;
  for (const auto& row : sweep.rows) {
    if (!has_end(row) || !row->settings.contains("width")) continue;
    width = std::max(width, row->settings["width"].get<int64_t>());
    height = std::max(height, row->settings["height"].get<int64_t>());
  }
  return {width, width > 1 || height > 1 ? height : 1};
}

}  // namespace

SweepGrid::SweepGrid(const Sweep& sweep, SweepGridOptions options) : sweep_(sweep), options_(std::move(options)) {
  x_ = axis_named("`x`", options_.x);
  y_ = axis_named("`y`", options_.y);
  if (x_ && x_ == y_) throw UsageError("`x` and `y` are both " + in_quotes(options_.x) + "; expected two axes");
  choose_axes();
  for (size_t i = 0; i < sweep_.plan.axes.size(); ++i) {
    if (x_ == i || y_ == i) continue;
    others_.push_back(i);
    pages_ *= sweep_.plan.axes[i].points.size();
  }
}

std::optional<size_t> SweepGrid::axis_named(const std::string& flag, const std::string& name) const {
  if (name.empty()) return std::nullopt;
  std::vector<std::string> names;
  for (size_t i = 0; i < sweep_.plan.axes.size(); ++i) {
    if (is_called(sweep_.plan.axes[i], name)) return i;
    names.push_back(sweep_.plan.axes[i].name);
  }
  throw UsageError(flag + " " + in_quotes(name) + ": is no axis of this sweep" +
                   did_you_mean(name, names, "; its axes: " + joined(names, "; ")));
}

void SweepGrid::choose_axes() {
  const auto& axes = sweep_.plan.axes;
  const auto free = [&](size_t i) { return x_ != i && y_ != i && axes[i].points.size() > 1; };
  const auto choose = [&](const std::string& usual) -> std::optional<size_t> {
    for (size_t i = 0; i < axes.size(); ++i) {
      if (free(i) && is_called(axes[i], usual)) return i;
    }
    for (size_t i = axes.size(); i-- > 0;) {
      if (free(i)) return i;
    }
    return std::nullopt;
  };
  if (!x_) x_ = choose("steps");
  if (!y_) y_ = choose("sampler");
}

std::vector<size_t> SweepGrid::points_on(size_t page) const {
  std::vector<size_t> points(sweep_.plan.axes.size());
  for (size_t i = others_.size(); i-- > 0;) {
    const size_t count = sweep_.plan.axes[others_[i]].points.size();
    points[others_[i]] = page % count;
    page /= count;
  }
  return points;
}

std::string SweepGrid::title_of(const std::vector<size_t>& points) const {
  std::vector<std::string> texts;
  for (const auto& [name, text] : sweep_.plan.fixed) {
    if (name == "prompt") texts.push_back(text);
  }
  for (const size_t axis : others_) {
    const SweepAxis& other = sweep_.plan.axes[axis];
    texts.push_back(named_label(other.name, point_label(other, points[axis])));
  }
  return joined(texts, ", ");
}

std::string SweepGrid::about_of(size_t page) const {
  std::vector<std::string> texts;
  if (pages_ > 1) texts.push_back("page " + std::to_string(page + 1) + " of " + std::to_string(pages_));
  for (const auto& [name, text] : sweep_.plan.fixed) {
    if (name != "prompt") texts.push_back(named_label(name, text));
  }
  return escaped(joined(texts, ", "), 1000);
}

std::string SweepGrid::png(size_t page) const {
  check_fonts();
  const std::vector<size_t> points = points_on(page);
  const auto [width, height] = largest_picture(sweep_);
  const auto name_of_axis = [&](std::optional<size_t> axis) { return axis ? sweep_.plan.axes[*axis].name : ""; };
  const auto cell = [&](size_t row, size_t column) {
    std::vector<size_t> at = points;
    if (x_) at[*x_] = column;
    if (y_) at[*y_] = row;
    return grid_cell(sweep_, cell_at(sweep_.plan, at));
  };
  return png_of(PictureGrid{.title = title_of(points),
                            .about = about_of(page),
                            .column_name = name_of_axis(x_),
                            .row_name = name_of_axis(y_),
                            .columns = point_labels(sweep_.plan, x_),
                            .rows = point_labels(sweep_.plan, y_),
                            .cell = cell,
                            .width = width,
                            .height = height,
                            .cell_size = options_.cell_size});
}

fs::path SweepGrid::file_of(const fs::path& first, size_t page) {
  if (page == 0) return first;
  fs::path file = first;
  file.replace_filename(first.stem().string() + "-" + std::to_string(page + 1) + first.extension().string());
  return file;
}

}  // namespace steplapse
