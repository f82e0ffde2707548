#pragma once

#include <nlohmann/json_fwd.hpp>

#include "steplapse/noise_level.h"

namespace steplapse {

/// {"init_scale": 1.0, "levels": [{"timestep": 981.0, "alpha": …, "sigma": …}, …]}; numbers read back the same to the bit.
nlohmann::json levels_json(const Schedule& schedule);

/// The reverse. @throws nlohmann::json::exception  on another shape
Schedule schedule_from_json(const nlohmann::json& json);

}  // namespace steplapse
