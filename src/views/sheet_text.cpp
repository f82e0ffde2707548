#include "views/sheet_text.h"

#include <algorithm>
#include <sstream>

#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr int64_t kLeastWidth = 480, kMostPixels = 32767;  // of a sheet; of a canvas' side
constexpr int64_t kTitleLine = 24, kAboutLine = 18, kNoteLine = 16;
constexpr double kSheetTitleSize = 16, kAboutSize = 12, kNoteSize = 11;

/// The text in lines that are no wider than `most`, but for single words.
std::vector<std::string> folded(const Canvas::Text& text, double most) {
  const Canvas ruler(1, 1, {1, 1, 1});
  std::vector<std::string> lines{""};
  std::istringstream words(text.text);
  for (std::string word; words >> word;) {
    Canvas::Text longer = text;
    longer.text = lines.back() + (lines.back().empty() ? "" : " ") + word;
    if (lines.back().empty() || ruler.size_of(longer).width <= most)
      lines.back() = longer.text;
    else
      lines.push_back(word);
  }
  return lines;
}

}  // namespace

SheetText::SheetText(const std::string& title, const std::string& about, const std::vector<std::string>& notes,
                     int64_t width)
    : width_(title.empty() && notes.empty() ? width : std::max(width, kLeastWidth)) {
  const auto most = static_cast<double>(width_ - 2 * kSheetGap);
  const auto add_lines = [&](const Canvas::Text& text, int64_t top, int64_t height, bool is_note) {
    for (const std::string& line : folded(text, most)) {
      lines_.push_back({text, top, is_note});
      lines_.back().text.text = line;
      lines_.back().text.most_width = most;
      top += height;
    }
    return top;
  };
  if (!title.empty()) {
    lines_.push_back({{.text = title, .size = kSheetTitleSize, .most_width = most, .bold = true}, kSheetGap, false});
    above_ = kTitleLine;
  }
  if (!about.empty())
    above_ =
        add_lines({.text = about, .size = kAboutSize, .colour = kSheetFaint}, kSheetGap + above_, kAboutLine, false) +
        4 - kSheetGap;
  for (const std::string& note : notes)
    below_ = add_lines({.text = note, .size = kNoteSize, .colour = kSheetFaint}, below_, kNoteLine, true);
  if (!notes.empty()) below_ += kSheetGap;
}

void SheetText::check_size(int64_t height, const std::string& way_out) const {
  const int64_t whole = above_ + height + below_;
  if (width_ > kMostPixels || whole > kMostPixels)
    throw UsageError("a sheet of " + std::to_string(width_) + " x " + std::to_string(whole) +
                     " pixels is too large, at most " + std::to_string(kMostPixels) + " a side can be drawn; " +
                     way_out);
}

Canvas SheetText::canvas(int64_t height) const {
  check_size(height, "choose a smaller `scale`, fewer `columns` or fewer `rows`");
  const int64_t whole = above_ + height + below_;
  Canvas canvas(width_, whole, {1, 1, 1});
  for (const Line& line : lines_)
    canvas.text(kSheetGap, static_cast<double>(line.top + (line.is_note ? above_ + height : 0)), line.text);
  return canvas;
}

}  // namespace steplapse
