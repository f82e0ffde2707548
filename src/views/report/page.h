#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "views/report/report.h"

namespace steplapse {

/// A report as one HTML page: it opens from the disk, asks nothing of the network, and what it says can be read without
/// its script.
/// @param report  of one run or more
std::string report_page(const Report& report);

// ---- its parts, a file each

/// What the script knows of the report.
nlohmann::ordered_json page_data(const Report& report);

/// The picture, the prompt with its tokens, and how it was made.
std::string run_head(const RunReport& run, size_t index, bool alone);

/// All that the page says of a run beside: frames, settling, explanation, numbers, settings, command.
std::string run_body(const RunReport& run, size_t index);

/// A row a run: its picture, the settings in which the runs differ, and its results.
std::string runs_table(const Report& report);

/// The settings in which the runs of a report differ, by key; those that say how a picture is made, and no results.
std::vector<std::string> varied_settings(const Report& report);

/// A command as a POSIX shell reads it.
std::string command_text(const std::vector<CommandPart>& command);

/// A picture of the page. @param about  for who can't see it; @param more  attributes besides
std::string image(const ReportPicture& picture, const std::string& about, const std::string& more = "");

std::string number_text(double number, int digits);   ///< rounded to so many digits that count
std::string ratio_text(const NoiseLevel& level);      ///< its sigma / alpha
std::string name_for_people(const std::string& key);  ///< guidance_scale: guidance scale

}  // namespace steplapse
