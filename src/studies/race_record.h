#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "runs/progress.h"
#include "runs/recorded_run.h"
#include "studies/race.h"
#include "studies/race_setup.h"

namespace steplapse {

/// Keeps the runs of a race, the reference's too, each in a run folder of its own: OUT/0003-heun-10-red-apple-7, where 10 is
/// the number of steps.
class RaceRecord : public RaceObserver {
 public:
  static constexpr int64_t kMostRuns = 200;  ///< all are open at once

  /// @param plans  of the race's lanes
  /// @param runs   how many will be told of
  /// @param warn   is told what a run warns of
  RaceRecord(const Bundle& bundle, const std::vector<Plan>& plans, const RaceOptions& options, int64_t runs,
             const std::function<void(const std::string&)>& warn);
  ~RaceRecord() override;

  Watcher* begun(const Recipe& recipe, size_t lane) override;
  void ended(Watcher* watcher, const Outcome& outcome) override;

 private:
  const Bundle& bundle_;
  const std::vector<Plan>& plans_;
  const RaceOptions& options_;
  const Origin here_;
  std::unique_ptr<Progress> progress_;
  FrameWorkers workers_;
  std::vector<std::unique_ptr<RecordedRun>> runs_;
};

}  // namespace steplapse
