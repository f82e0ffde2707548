#include "sampling/schedule_json.h"

#include <nlohmann/json.hpp>

namespace steplapse {

nlohmann::json schedule_to_json(const Schedule& schedule) {
  nlohmann::json levels = nlohmann::json::array();
  for (const NoiseLevel& level : schedule.levels) {
    nlohmann::json timestep = level.timestep ? nlohmann::json(*level.timestep) : nlohmann::json();
    levels.push_back({{"timestep", timestep}, {"alpha", level.alpha}, {"sigma", level.sigma}});
  }
  return {{"init_scale", schedule.init_scale}, {"levels", levels}};
}

Schedule schedule_from_json(const nlohmann::json& json) {
  Schedule schedule;
  schedule.init_scale = json.at("init_scale").get<double>();
  for (const auto& level : json.at("levels")) {
    const auto& timestep = level.at("timestep");
    schedule.levels.push_back({timestep.is_null() ? std::nullopt : std::optional(timestep.get<double>()),
                               level.at("alpha").get<double>(), level.at("sigma").get<double>()});
  }
  return schedule;
}

}  // namespace steplapse
