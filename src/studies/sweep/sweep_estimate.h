#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/bundle.h"
#include "studies/sweep/sweep_survey.h"

namespace steplapse {

/// What the networks take for one of each, in seconds.
struct NetworkCost {
  double row = 0, decode = 0;
};

/// Asks the denoiser a few times, and the decoder once, about the size of the picture that a cell makes.
NetworkCost probe(const Bundle& bundle, const Task& cell);

/// About how long a sweep takes that none of is made, in seconds. Other sizes than the probed take as their pixels are.
double estimated_seconds(const Bundle& bundle, const SweepSurvey& survey, const SweepCells& cells);

/// For people: about 40 seconds, about 3 hours.
std::string time_text(double seconds);

/// Bytes that are free where a folder is, or would be made.
int64_t free_bytes_at(const std::filesystem::path& folder);

/// @throws OutputError  there is less room than the sweep takes; the text has both figures
void check_room(const std::filesystem::path& folder, int64_t bytes, int64_t free_bytes);

/// What is said of a sweep before it begins, in lines for people.
std::vector<std::string> survey_lines(const SweepPlan& plan, const SweepSurvey& survey, int64_t free_bytes,
                                      std::optional<double> seconds, const std::string& device);
nlohmann::ordered_json survey_json(const SweepPlan& plan, const SweepSurvey& survey, int64_t free_bytes,
                                   std::optional<double> seconds, const std::string& device);

}  // namespace steplapse
