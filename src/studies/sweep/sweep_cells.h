#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "runs/task.h"
#include "steplapse/manifest.h"
#include "steplapse/settings.h"
#include "studies/sweep/sweep_plan.h"

namespace steplapse {

/// What a cell asks for.
struct CellRequest {
  Settings settings;
  std::string decoder = "full";         ///< for frames
  std::optional<int64_t> stop_at = {};  ///< as in Options, as are the next two
  std::optional<double> stop_when_converged = {}, would_stop = {};
};

/// Sets what a text of this name means. `none` is as if it were not said, for all but texts; so is `auto` of `schedule`.
/// For one thread at a time. @throws UsageError  it means nothing, or no such setting is known
using ReadSetting = std::function<void(CellRequest& cell, const std::string& name, const std::string& text)>;

/// The cells of a plan, each made when it is asked for.
class SweepCells {
 public:
  SweepCells(const SweepPlan& plan, const Manifest& manifest, ReadSetting read_setting);

  static constexpr uint64_t kUsualSeed = 0;  ///< of cells that name none: the same command makes the same pictures

  size_t size() const;
  /// What the cell's texts mean, with its words changed. @throws UsageError  a text means nothing
  CellRequest request(size_t cell) const;
  /// A run to make, in OUT/runs/. Its plan waits without its start where the seed gives it.
  /// @throws UsageError  the cell's sampler or model refuses its settings
  Task task(size_t cell, const std::filesystem::path& out) const;
  Task task_of(size_t cell, const CellRequest& request, const std::filesystem::path& out) const;

 private:
  const SweepPlan& plan_;
  const Manifest& manifest_;
  ReadSetting read_setting_;
};

}  // namespace steplapse
