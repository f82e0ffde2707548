#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "prompt/conditioning.h"
#include "record/facts.h"
#include "steplapse/manifest.h"
#include "steplapse/settings.h"

namespace steplapse {

/// The settings with every choice made.
struct Plan : Facts {
  PromptRequest prompts;              ///< both prompts, taken apart
  bool usual_schedule = false;        ///< the schedule is the sampler's usual one, for nobody named one
  std::optional<int64_t> made_steps;  ///< the steps that the sampler will make; none: it decides on its way
  std::vector<std::string> warnings;
};

/// When the start is drawn that a seed stands for: drawing takes longer than all else in a plan.
enum class StartNoise { drawn, drawn_later };

/// Settles what the settings leave open and checks the rest. Opens no file of the bundle.
/// @param start  drawn_later: recipe.init_noise stays undefined, unless the user gave it
/// @throws UsageError  one line: the setting, what was found, what was expected.
Plan make_plan(const Manifest& manifest, const Settings& settings, StartNoise start = StartNoise::drawn);

/// The steps that a sampler makes; none: it decides on its way.
std::optional<int64_t> made_steps(const Sampler& sampler, const Schedule& schedule);
std::optional<int64_t> made_steps(const Recipe& recipe);  ///< a branch's with those before it

/// The plan of a run that was made, from what its log says of it. It has no warnings: they were given then.
Plan plan_of(const Facts& facts);

}  // namespace steplapse
