#pragma once

#include <string>
#include <vector>

#include "plan/plan.h"
#include "steplapse/manifest.h"
#include "studies/race.h"
#include "views/plot.h"

namespace steplapse {

/// A race that has been run, and what it was run on.
struct RaceReport {
  const Manifest& manifest;
  const Plan& plan;  ///< of any lane: schedule, size, guidance, rng
  const Race& race;
  const RaceResult& result;
  Standings standings;
};

/// For people: 78 columns of numbers, with text folded to `columns`.
std::string race_table(const RaceReport& report, size_t columns);
std::string race_csv(const RaceReport& report);  ///< a row a run; docs/race.md has the columns
std::string race_json(const RaceReport& report);
Plot race_plot(const RaceReport& report);  ///< distance of the latents over denoiser calls, a line a sampler

}  // namespace steplapse
