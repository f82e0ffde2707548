#include "views/settled_sheet.h"

#include <algorithm>
#include <cmath>

#include "views/pace.h"
#include "views/sheet_text.h"

namespace steplapse {
namespace {

constexpr int64_t kLeastMapSide = 256, kMostMapSide = 512;
constexpr int64_t kScaleTop = 12, kScaleHeight = 14, kTickLine = 15,
                  kScaleLines = kScaleTop + kScaleHeight + 2 * kTickLine;
constexpr int64_t kTickWidth = 56, kCaptionWidth = 104;
constexpr double kTickSize = 11;

Colour colour_of(size_t index, size_t steps) {
  const auto [red, green, blue] =
      heat_colour(steps < 2 ? 0 : static_cast<double>(index) / static_cast<double>(steps - 1));
  return {red / 255.0, green / 255.0, blue / 255.0};
}

void centred(Canvas& canvas, double middle, double top, const std::string& text) {
  const Canvas::Text line{.text = text, .size = kTickSize};
  canvas.text(middle - canvas.size_of(line).width / 2, top, line);
}

/// A field for each step in its colour, and below some of them the step and the share that has settled by then.
void draw_scale(Canvas& canvas, const SettledMap& map, double left, double top, double width) {
  const size_t steps = map.compared.size();
  const double field = width / static_cast<double>(steps);
  canvas.rectangle(left - 1, top - 1, width + 2, kScaleHeight + 2, {0.6, 0.6, 0.6});
  for (size_t i = 0; i < steps; ++i)
    canvas.rectangle(left + field * static_cast<double>(i), top, field, kScaleHeight, colour_of(i, steps));

  const std::vector<double> shares = settled_shares(map);
  const std::vector<double> places(map.compared.begin(), map.compared.end());
  const double ticks_top = top + kScaleHeight + 2;
  canvas.text(kSheetGap, ticks_top, {.text = "from step", .size = kTickSize});
  canvas.text(kSheetGap, ticks_top + kTickLine, {.text = "settled by then", .size = kTickSize});
  for (const size_t i : spread_evenly(places, static_cast<size_t>(std::max(1.0, width / kTickWidth)))) {
    const double middle = left + field * (static_cast<double>(i) + 0.5);
    canvas.line(middle, top + kScaleHeight, middle, top + kScaleHeight + 4, 1, {0.3, 0.3, 0.3});
    centred(canvas, middle, ticks_top + 2, std::to_string(map.compared[i]));
    centred(canvas, middle, ticks_top + kTickLine, std::to_string(std::lround(100 * shares[i])) + " %");
  }
}

}  // namespace

std::string png_of(const SettledSheet& sheet, const std::vector<PngText>& texts) {
  const PictureScale scale = sheet.scale.value_or(usual_scale(sheet.end.width, kLeastMapSide, kMostMapSide));
  const auto scaled = [&](int64_t side) { return (side * scale.up + scale.down - 1) / scale.down; };
  const int64_t width = scaled(sheet.end.width), height = scaled(sheet.end.height);
  const std::string meaning = "The colour of a pixel is the first step from which on it stays within " +
                              std::to_string(sheet.near) +
                              " of 255, in red, green and blue, of what it is at the last step.";
  const SheetText text(sheet.title, sheet.about, {meaning}, 3 * kSheetGap + 2 * width);
  Canvas canvas = text.canvas(kSheetGap + kSheetNameLine + height + kScaleLines + kSheetGap);

  const int64_t top = kSheetGap + text.above();
  int64_t left = kSheetGap;
  const std::string last = "x0 at step " + std::to_string(sheet.map.compared.back());
  for (const auto& [name, picture] : {std::pair(last, sheet.end), {"when it settled", picture_of(sheet.map)}}) {
    canvas.text(static_cast<double>(left), static_cast<double>(top),
                {.text = name, .size = kSheetNameSize, .most_width = static_cast<double>(width)});
    canvas.picture(left, top + kSheetNameLine, scale.down > 1 ? reduced(picture, scale.down) : picture, scale.up);
    left += width + kSheetGap;
  }
  draw_scale(canvas, sheet.map, kSheetGap + kCaptionWidth,
             static_cast<double>(top + kSheetNameLine + height + kScaleTop),
             static_cast<double>(text.width() - 2 * kSheetGap - kCaptionWidth));
  return canvas.png(texts);
}

}  // namespace steplapse
