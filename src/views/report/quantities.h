#pragma once

#include <string>
#include <vector>

#include "views/report/report.h"

namespace steplapse {

/// A number of each step.
struct ReportQuantity {
  std::string key;    ///< in ReportStep::numbers, in the page's data, and as a column of the CSV
  std::string label;  ///< for people
  std::string chart;  ///< the id of the chart that shows it
};
const std::vector<ReportQuantity>& report_quantities();

/// The charts of a report: of one run over its steps, of several over sigma, with a line a run of each chart's first quantity.
std::vector<Chart> report_charts(const Report& report);

/// A row for each step of each run.
std::string report_csv(const Report& report);

}  // namespace steplapse
