#include <cmath>
#include <nlohmann/json.hpp>

#include "views/report/page.h"
#include "views/report/quantities.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

/// As few digits as people read.
ordered_json rounded(double number) {
  return std::isfinite(number) ? ordered_json(std::stod(number_text(number, 6))) : ordered_json();
}

ordered_json step_json(const ReportStep& step) {
  ordered_json numbers = ordered_json::object();
  for (const auto& [key, number] : step.numbers) numbers[key] = rounded(number);
  return {{"step", step.step},
          {"timestep", step.level.timestep ? rounded(*step.level.timestep) : ordered_json()},
          {"sigma", rounded(std::min(noise_ratio(step.level), kLargestNoiseRatio))},
          {"numbers", numbers}};
}

ordered_json run_json(const RunReport& run, const std::vector<std::string>& varied) {
  ordered_json steps = ordered_json::array(), command = ordered_json::array(), settings = ordered_json::object();
  for (const ReportStep& step : run.steps) steps.push_back(step_json(step));
  for (const CommandPart& part : run.command)
    command.push_back({{"setting", part.setting}, {"flag", part.flag}, {"value", part.value}});
  for (const std::string& key : varied) settings[key] = run.setting(key);
  return {{"name", run.name}, {"prompt", run.prompt()}, {"settings", settings}, {"steps", steps}, {"command", command}};
}

}  // namespace

ordered_json page_data(const Report& report) {
  const std::vector<std::string> varied = varied_settings(report);
  ordered_json runs = ordered_json::array(), quantities = ordered_json::object();
  for (const RunReport& run : report.runs) runs.push_back(run_json(run, varied));
  for (const ReportQuantity& quantity : report_quantities())
    quantities[quantity.key] = {{"label", quantity.label}, {"chart", quantity.chart}};
  return {{"shows_all", report.shows_all}, {"varied", varied}, {"quantities", quantities}, {"runs", runs}};
}

}  // namespace steplapse
