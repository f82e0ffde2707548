#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "studies/comparison.h"

namespace steplapse {

/// A setting that is not the same in all runs.
struct DifferentSetting {
  std::string name;
  std::vector<std::string> values;  ///< a run each; "-": its log does not say
};

/// All that is said of compared runs.
struct CompareReport {
  std::vector<std::filesystem::path> runs;
  std::vector<std::string> endings;  ///< a run each: "done, 40 steps"
  std::vector<DifferentSetting> settings;
  Alignment alignment;
  double share;
  bool same_model;
  Comparison comparison;
  /// At each point, of each other run: rms of the difference of pixels, 0 to 255. None: there are no pictures.
  std::vector<std::vector<std::optional<double>>> pictures;
  std::vector<std::optional<double>> final_pictures;  ///< of each other run: the same of final.png
};

std::string compare_table(const CompareReport& report, size_t columns);
std::string compare_csv(const CompareReport& report);   ///< a row for each point and other run
std::string compare_json(const CompareReport& report);  ///< one object

}  // namespace steplapse
