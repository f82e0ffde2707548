#pragma once

#include <string>

#include "views/frames.h"

namespace steplapse {

/// Which frames a run makes, as its log has it. (How the files are numbered stands beside it, under `number`.)
std::string selection_json(const FrameSelection& selection);

/// The other way. @param number  steps or frames
/// @throws nlohmann::json::exception  it is not what selection_json writes
FrameSelection selection_of(const std::string& json, const std::string& number);

}  // namespace steplapse
