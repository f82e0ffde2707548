#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace steplapse {

/// What a branch changes in the run that it goes out from. None: as it was.
struct BranchSettings {
  std::optional<std::string> prompt = {}, negative_prompt = {};
  std::optional<double> guidance_scale = {};
  std::optional<std::string> sampler = {};  ///< another one, or another tool's name, begins without a history
  std::optional<std::string> schedule =
      {};                             ///< lays out the levels after the step anew; its sampler has no history either
  std::optional<int64_t> steps = {};  ///< after the step, 1 or more; none with a schedule: as many as are left
};

/// A run as far as a branch follows it.
struct RunBefore {
  std::shared_ptr<const Facts> facts;
  std::vector<NoiseLevel> levels;  ///< that it reached: levels[k] after step k; levels[0] is its start
};

/// The plan of a branch: as the run before up to `after_step`, which is a step of that run but not its last.
///
/// New levels begin at the one that the step reached. A schedule that has `sigma_max` begins there; of another the levels
/// are taken that lie below it, of as many in all as give the number of steps.
/// @throws UsageError  the setting, what was found, what was expected
Plan plan_branch(const Manifest& manifest, const RunBefore& before, int64_t after_step, const BranchSettings& changes);

}  // namespace steplapse
