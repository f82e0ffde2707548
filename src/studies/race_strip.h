#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "plan/plan.h"
#include "studies/race.h"
#include "studies/race_report.h"

namespace steplapse {

/// The results as pictures: for each prompt and seed a row a sampler, with a picture for each number of calls, and the
/// reference above them. The bytes of a PNG file.
std::string race_strip(const RaceReport& report);

/// Whether the strip of a race can be made. @param plans  a plan a lane
/// @throws UsageError   it would be too large
/// @throws OutputError  no font is installed
void check_strip(const Race& race, const std::vector<Plan>& plans);

/// @throws UsageError  it does not end in .png
void check_strip_name(const std::filesystem::path& path);

}  // namespace steplapse
