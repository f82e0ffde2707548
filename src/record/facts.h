#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "sampling/fresh_noise.h"
#include "steplapse/recipe.h"

namespace steplapse {

/// The settings of a run with every choice made: what its log, run.json, pictures and progress say of it.
struct Facts {
  std::string prompt;  ///< NFC, as it was written
  std::optional<std::string> negative_prompt;
  std::string prompt_syntax;                        ///< weights or plain
  int64_t width = 0, height = 0;                    ///< pixels
  std::string schedule;                             ///< of schedules(); or timesteps, sigmas, levels: the user's own
  std::optional<double> sigma_min, sigma_max, rho;  ///< of the schedule, where the user chose them
  std::optional<double> shift;                      ///< of a flow model
  Recipe recipe;
  /// Of a branch: the facts of the run that it goes out from; recipe.before is its recipe.
  std::shared_ptr<const Facts> before = {};
  std::optional<FreshNoise> fresh_noise = {};  ///< of a branch: added to the latents that it begins with

  /// The user's levels, without a schedule.
  bool own_levels() const { return schedule == "timesteps" || schedule == "sigmas" || schedule == "levels"; }
  int64_t steps() const {
    return recipe.schedule.steps();
  }  ///< as requested; some samplers read it as a number of calls
};

/// Makes `facts` those of a branch of `before` after this step.
void branch_off(Facts& facts, std::shared_ptr<const Facts> before, int64_t after_step);

/// Every setting under its name, in the order for people: a new setting is a row here. Infinity is null.
nlohmann::ordered_json settings_json(const Facts& facts);

/// The other way, from the settings as a log of this version has them. The recipe's levels and noise are not among them.
/// @throws nlohmann::json::exception, std::invalid_argument  a key that is missing or no setting's value
Facts facts_of(const nlohmann::json& settings, int64_t log_version);

}  // namespace steplapse
