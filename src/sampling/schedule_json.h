#pragma once

#include <nlohmann/json_fwd.hpp>

#include "steplapse/noise_level.h"

namespace steplapse {

/// {"init_scale": 1.0, "levels": [{"timestep": 981.0, "alpha": …, "sigma": …}, …]}; numbers read back
/// equal to the bit.
nlohmann::json schedule_to_json(const Schedule& schedule);

/// The inverse of schedule_to_json; the schedule has no table for at().
/// @throws nlohmann::json::exception  the JSON has another form
Schedule schedule_from_json(const nlohmann::json& json);

}  // namespace steplapse
