#pragma once

#include <string>
#include <vector>

#include "plan/plan.h"
#include "steplapse/manifest.h"
#include "studies/race.h"
#include "studies/race_setup.h"
#include "views/plot.h"

namespace steplapse {

/// A finished race, and the model and settings that it was run with.
struct RaceReport {
  const Manifest& manifest;
  const Plan& plan;  ///< the plan of any lane, for schedule, size, guidance and rng
  const Race& race;
  const RaceResult& result;
  Standings standings;
  double within = kNearLevels;  ///< how near of 255 the closing line asks for
};

/// The results for people: a table 78 columns wide, with text folded to `columns`.
std::string race_table(const RaceReport& report, size_t columns);
/// "within 1 level of 255: unipc from 10 calls, euler from 20; not by 40: heun": what the race came to, in one line.
std::string race_answer(const RaceReport& report);
std::string race_csv(const RaceReport& report);   ///< one row per run; docs/race.md has the columns
std::string race_json(const RaceReport& report);  ///< docs/race.md has the keys
Plot race_plot(const RaceReport& report);         ///< latent distance over denoiser calls, one line per sampler

}  // namespace steplapse
