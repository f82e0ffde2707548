#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "studies/sweep/sweep_distances.h"

namespace steplapse {

/// The results of a sweep, a row a cell; docs/sweeps.md has the columns.
class SweepTable {
 public:
  /// @param distances  by cell. Both must outlive the table
  SweepTable(const Sweep& sweep, const std::vector<std::optional<SweepDistance>>& distances);

  /// Infinity is kept as it is, of which JSON makes null; `stochastic` is a bool.
  nlohmann::ordered_json row(size_t cell) const;

  std::string csv_header() const;
  static std::string csv_line(const nlohmann::ordered_json& row);
  static std::string json_line(const nlohmann::ordered_json& row);

 private:
  void add_settings(nlohmann::ordered_json& json, size_t cell) const;

  const Sweep& sweep_;
  const std::vector<std::optional<SweepDistance>>& distances_;
  std::vector<std::string> settings_;  // names: those of run.json, then the plan's others
};

}  // namespace steplapse
