#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "plan/plan_levels.h"
#include "steplapse/manifest.h"
#include "studies/race.h"
#include "studies/race_setup.h"

namespace steplapse {

/// Makes the contenders and references of a race from what was asked for.
class RaceBuilder {
 public:
  /// The arguments must outlive it. @throws UsageError  the schedule or its settings can't be used
  RaceBuilder(const Manifest& manifest, const RaceOptions& options);

  /// The race without its lanes. @throws UsageError  a name or a number of calls can't be used
  Race race();

  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  using Named = std::pair<std::string, const Sampler*>;  // as the user names it

  std::string schedule() const { return std::string(planned_.rule.name); }
  Schedule levels(int64_t steps);
  Contender within(const Sampler& sampler, int64_t calls);
  const Sampler& sampler_of(const std::string& name);
  std::vector<Named> named_samplers();
  std::vector<Named> all_samplers();
  void add_contenders(Race& race);
  void add_adaptive(Race& race, const Sampler& sampler) const;
  void add_within(Race& race, const Sampler& sampler, int64_t calls);
  void add_reference(Race& race);
  void add_far_reference(Race& race, const Sampler& sampler);

  const Manifest& manifest_;
  const RaceOptions& options_;
  PlannedRule planned_;
  std::vector<std::string> left_out_;
  std::vector<std::string> warnings_;
};

}  // namespace steplapse
