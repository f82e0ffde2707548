#include "views/report/quantities.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace steplapse {
namespace {

const std::vector<Chart>& kinds_of_charts() {
  static const std::vector<Chart> charts{
      {.id = "change",
       .title = "Change",
       .unit = "rms, latent units",
       .meaning = "How far each step moved the picture that the model expects (x0), and the noisy latents (xt).",
       .log_y = true},
      {.id = "sigma",
       .title = "Noise",
       .unit = "sigma / alpha",
       .meaning = "How much noise there is for each part of picture when the step begins.",
       .log_y = true},
      {.id = "norms",
       .title = "Size",
       .unit = "rms, latent units",
       .meaning =
           "How large the numbers are: an average picture is near 0, a finished one has the contrast of the end."},
      {.id = "angle",
       .title = "Angle between the two answers",
       .unit = "degrees",
       .meaning =
           "How differently the network sees the noise with the prompt and without it; 0 means that both agree."},
      {.id = "guidance",
       .title = "Pull of guidance",
       .unit = "rms, latent units",
       .meaning = "How far the second answer moved x0, compared with the answer to the prompt alone."},
      {.id = "distance",
       .title = "Distance to the end",
       .unit = "rms, latent units",
       .meaning = "How far x0 still is from what the run came to.",
       .log_y = true},
      {.id = "bands",
       .title = "Coarse forms and details",
       .unit = "rms, latent units",
       .meaning = "How much of x0 lies in waves of each size: coarse forms are there first, details come last."},
      {.id = "times",
       .title = "Time",
       .unit = "milliseconds",
       .meaning = "What each step took: the network's answers, and decoding and writing its frames."},
  };
  return charts;
}

/// A chart of these quantities, of these runs.
Chart with_series(Chart chart, const Report& report, const std::vector<ReportQuantity>& quantities) {
  for (const ReportQuantity& quantity : quantities) {
    for (size_t run = 0; run < report.runs.size(); ++run) {
      ChartSeries series{report.runs.size() > 1 ? report.runs[run].name : quantity.label, quantity.key, run, {}, {}};
      for (const ReportStep& step : report.runs[run].steps) {
        const auto number = step.numbers.find(quantity.key);
        const double ratio = std::min(noise_ratio(step.level), kLargestNoiseRatio);
        series.x.push_back(chart.x == Chart::X::sigma ? ratio : static_cast<double>(step.step));
        series.y.push_back(number == step.numbers.end() ? std::numeric_limits<double>::quiet_NaN() : number->second);
      }
      if (std::any_of(series.y.begin(), series.y.end(), [](double y) { return y == y; }))
        chart.series.push_back(std::move(series));
    }
  }
  return chart;
}

/// In double quotes where a comma, quote or line end is in it.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char character : text) quoted += character == '"' ? "\"\"" : std::string(1, character);
  return quoted + "\"";
}

std::string csv_number(double number) { return nlohmann::json(number).dump(); }

}  // namespace

const std::vector<ReportQuantity>& report_quantities() {
  static const std::vector<ReportQuantity> quantities{
      {"x0_rms_change", "change of x0", "change"},
      {"latents_rms_change", "change of xt", "change"},
      {"sigma_over_alpha", "sigma / alpha", "sigma"},
      {"x0_rms", "size of x0", "norms"},
      {"latents_rms", "size of xt", "norms"},
      {"angle", "angle", "angle"},
      {"guidance_x0_rms", "pull of guidance", "guidance"},
      {"x0_rms_to_final", "distance to the end", "distance"},
      {"x0_rms_details", "details", "bands"},
      {"x0_rms_middle", "middle", "bands"},
      {"x0_rms_coarse_form", "coarse form", "bands"},
      {"x0_rms_colours", "colours", "bands"},
      {"denoiser_ms", "network", "times"},
      {"frames_ms", "frames", "times"},
  };
  return quantities;
}

std::vector<Chart> report_charts(const Report& report) {
  std::vector<Chart> charts;
  for (Chart chart : kinds_of_charts()) {
    std::vector<ReportQuantity> shown;
    for (const ReportQuantity& quantity : report_quantities()) {
      if (quantity.chart == chart.id && (shown.empty() || report.runs.size() == 1)) shown.push_back(quantity);
    }
    chart.x = report.runs.size() > 1 ? Chart::X::sigma : Chart::X::step;
    charts.push_back(with_series(std::move(chart), report, shown));
  }
  return charts;
}

std::string report_csv(const Report& report) {
  std::string csv = "run,step,timestep,alpha,sigma";
  for (const ReportQuantity& quantity : report_quantities()) csv += "," + quantity.key;
  csv += "\n";
  for (const RunReport& run : report.runs) {
    for (const ReportStep& step : run.steps) {
      csv += csv_field(run.name) + "," + std::to_string(step.step) + ",";
      csv += (step.level.timestep ? csv_number(*step.level.timestep) : "") + "," + csv_number(step.level.alpha) + "," +
             csv_number(step.level.sigma);
      for (const ReportQuantity& quantity : report_quantities()) {
        const auto number = step.numbers.find(quantity.key);
        csv += "," + (number == step.numbers.end() ? "" : csv_number(number->second));
      }
      csv += "\n";
    }
  }
  return csv;
}

}  // namespace steplapse
