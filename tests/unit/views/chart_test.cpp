#include "views/report/chart.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>

namespace steplapse {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

Chart chart_of(std::vector<double> y) {
  std::vector<double> x;
  for (size_t i = 0; i < y.size(); ++i) x.push_back(static_cast<double>(i + 1));
  return {
      .id = "c", .title = "Title", .unit = "unit", .meaning = "Meaning.", .series = {{"a", "a", 0, x, std::move(y)}}};
}

TEST(Chart, NothingIsShownOfNoNumbers) {
  EXPECT_EQ(chart_html(chart_of({})), "");
  EXPECT_EQ(chart_html(chart_of({kNone, kNone})), "");
}

TEST(Chart, WhatIsNoNumberIsAGap) { EXPECT_THAT(chart_html(chart_of({1, kNone, 2, 3})), HasSubstr("d=\"M46.0 ")); }

TEST(Chart, APathHasAPartForEachRunOfNumbers) {
  const std::string path = chart_html(chart_of({1, 2, kNone, 2, 3}));
  const std::string line = path.substr(path.find(" d=\""), path.find("\"/>", path.find(" d=\"")) - path.find(" d=\""));
  EXPECT_EQ(std::count(line.begin(), line.end(), 'M'), 2);
  EXPECT_EQ(std::count(line.begin(), line.end(), 'L'), 2);
}

TEST(Chart, ASingleStepAndEqualNumbersHaveAPlace) {
  for (const auto& y : {std::vector<double>{0}, {5, 5, 5}, {-1, -1}}) {
    const std::string html = chart_html(chart_of(y));
    EXPECT_THAT(html, HasSubstr("<path"));
    EXPECT_THAT(html, Not(HasSubstr("nan")));
    EXPECT_THAT(html, Not(HasSubstr("inf")));
  }
}

TEST(Chart, NamesAreEscaped) {
  Chart chart = chart_of({1, 2});
  chart.series.push_back({"<b>", "\"q", 1, {1, 2}, {3, 4}});
  const std::string html = chart_html(chart);
  EXPECT_THAT(html, HasSubstr("&lt;b&gt;"));
  EXPECT_THAT(html, HasSubstr("data-quantity=\"&quot;q\""));
  EXPECT_THAT(html, Not(HasSubstr("<b>&lt;")));
}

}  // namespace
}  // namespace steplapse
