#include "views/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "steplapse/error.h"
#include "support/temporary_folder.h"

namespace steplapse {
namespace {

using test_support::TemporaryFolder;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StrEq;
using ::testing::ThrowsMessage;

Plot line(std::vector<double> x, std::vector<double> y, bool log = false) {
  return {
      .title = "a < b & \"c\"", .x = {"step"}, .y = {"sigma", log}, .series = {{"one", std::move(x), std::move(y)}}};
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t place = text.find(part); place != std::string::npos; place = text.find(part, place + 1)) ++found;
  return found;
}

std::vector<double> numbers_after(const std::string& text, const std::string& part) {
  std::vector<double> numbers;
  for (size_t place = text.find(part); place != std::string::npos; place = text.find(part, place + 1)) {
    numbers.push_back(std::stod(text.substr(place + part.size())));
  }
  return numbers;
}

TEST(Plot, HasADotAPointAndItsWordsAsText) {
  const std::string svg = svg_of({line({0, 1, 2}, {3, 1, 2})});
  EXPECT_EQ(count(svg, "<circle"), 3u);
  EXPECT_THAT(svg, HasSubstr(">a &lt; b &amp; \"c\"</text>"));
  EXPECT_THAT(svg, HasSubstr(">step</text>"));
  EXPECT_THAT(svg, Not(HasSubstr(">one</text>")));  // one series needs no legend
}

TEST(Plot, LeavesOutWhatALogarithmCantShow) {
  EXPECT_EQ(count(svg_of({line({0, 1, 2, 3}, {INFINITY, 10, 0.1, 0}, true)}), "<circle"), 2u);
  EXPECT_EQ(count(svg_of({line({0, 1, 2, 3}, {NAN, 10, 0.1, 0})}), "<circle"), 3u);
}

// On a logarithmic axis equal ratios are equal distances.
TEST(Plot, PutsEqualRatiosAtEqualDistances) {
  const std::string svg = svg_of({line({0, 1, 2}, {0.1, 1, 10}, true)});
  const std::vector<double> heights = numbers_after(svg, "cy=\"");
  ASSERT_EQ(heights.size(), 3u);
  EXPECT_NEAR(heights[0] - heights[1], heights[1] - heights[2], 0.01);
  EXPECT_GT(heights[0], heights[2]);
}

TEST(Plot, DashedSeriesHaveHollowDots) {
  Plot plot = line({0, 1, 2}, {3, 1, 2});
  plot.series[0].dashed = true;
  EXPECT_EQ(count(svg_of({plot}), "fill=\"white\" stroke="), 3u);
  EXPECT_EQ(count(svg_of({plot}), "stroke-dasharray"), 1u);
  plot.series[0].guide = true;
  EXPECT_EQ(count(svg_of({plot}), "<circle"), 0u);
}

// A bar's lines are as high as y + spread and y - spread are: here where the neighbouring dots lie.
TEST(Plot, BarsReachAsFarAsTheSpread) {
  Plot plot = line({0, 1, 2}, {3, 2, 1});
  plot.series[0].spread = {0, 1, 0};
  const std::string svg = svg_of({plot});
  const std::vector<double> x = numbers_after(svg, "cx=\""), y = numbers_after(svg, "cy=\"");
  std::ostringstream bar;
  bar << "points=\"" << x[1] << ',' << y[0] << ' ' << x[1] << ',' << y[2] << '"';
  EXPECT_THAT(svg, HasSubstr(bar.str()));
}

// No logarithm shows the end of a bar at 0 or below: it is cut at the axis.
TEST(Plot, BarsOnALogarithmEndAtTheAxis) {
  Plot plot = line({0, 1}, {1, 10}, true);
  plot.series[0].spread = {2, 0};
  for (const double y : numbers_after(svg_of({plot}), ",")) EXPECT_LE(y, 305.001);  // the lower end of the axis
}

TEST(Plot, HasTicksWhereItIsTold) {
  Plot plot = line({10, 20, 40}, {3, 1, 2});
  plot.x = {"calls", true, {10, 40}};
  const std::string svg = svg_of({plot});
  EXPECT_THAT(svg, HasSubstr(">10</text>"));
  EXPECT_THAT(svg, HasSubstr(">40</text>"));
  EXPECT_THAT(svg, Not(HasSubstr(">20</text>")));
}

TEST(Plot, HasRoomForALongLegend) {
  Plot plot = line({0, 1}, {1, 2});
  for (int i = 0; i < 29; ++i) plot.series.push_back(plot.series[0]);
  const std::string svg = svg_of({plot});
  const double height = numbers_after(svg, " height=\"").front();
  for (const double y : numbers_after(svg, "\" y=\"")) EXPECT_LT(y, height);
  EXPECT_EQ(count(svg, ">one</text>"), 30u);
}

TEST(Plot, IsAPictureToo) {
  const TemporaryFolder folder;
  const Plot plot = line({0, 1}, {1, 2});
  write_plots(folder / "plot.png", {plot, plot});
  std::ifstream file(folder / "plot.png", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(bytes, png_of({plot, plot}));
  EXPECT_EQ(bytes.substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(bytes.substr(16, 8), std::string("\0\0\x02\xd0\0\0\x02\xd0", 8));  // 720 x 720
}

TEST(Plot, SaysWhatItCantDraw) {
  EXPECT_THAT([] { svg_of({line({0, 1}, {1})}); },
              ThrowsMessage<std::invalid_argument>(StrEq("series 'one' has 2 x and 1 y")));
  Plot plot = line({0, 1}, {1, 2});
  plot.series[0].spread = {1};
  EXPECT_THAT([&] { svg_of({plot}); },
              ThrowsMessage<std::invalid_argument>(StrEq("series 'one' has 2 x and 1 spreads")));
  EXPECT_THAT([] { svg_of({line({0}, {0}, true)}); },
              ThrowsMessage<std::invalid_argument>(StrEq("plot 'a < b & \"c\"' has no point that its axes can show")));
  EXPECT_THAT([] { write_plots("plot.jpg", {line({0}, {1})}); },
              ThrowsMessage<UsageError>(StrEq("plot.jpg: expected a file's name that ends in .svg or .png")));
}

}  // namespace
}  // namespace steplapse
