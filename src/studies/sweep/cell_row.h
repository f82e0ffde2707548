#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace steplapse {

/// What a cell of a sweep came to: a line of JSON in DIR/rows/.
struct CellRow {
  size_t cell = 0;                             ///< from 0, in the plan's order
  std::string status;                          ///< `done`, `stopped` (by a stop rule), `failed`, `skipped` (invalid)
  std::string reason = {};                     ///< of one that failed or was skipped, or why it stopped
  std::string folder = {};                     ///< its run folder, from the sweep's; "" where there is none
  nlohmann::ordered_json settings = {};        ///< with every choice made, by the names that run.json has for them
  std::optional<int64_t> steps = {};           ///< that were made
  std::optional<int64_t> denoiser_calls = {};  ///< answers that the run got, shared or not
  std::optional<int64_t> shared_calls = {};    ///< those of them that another cell had asked for already
  std::optional<double> first_timestep = {};
  std::optional<int64_t> settles = {};     ///< the first step from which on x0 stays within a tenth of its end's rms
  std::optional<int64_t> would_stop = {};  ///< the step that the stop rule would have ended it after
  std::optional<double> high_frequency_power = {};  ///< of the final picture: rms of its band `details`
  std::optional<double> network_seconds = {}, decode_seconds = {};
  std::optional<int64_t> peak_memory = {};  ///< bytes, of the process until then
  std::string final_sha256 = {};            ///< of the bytes of final.png
  bool stochastic = false;                  ///< its sampler draws fresh noise
  double written = 0;  ///< when the row was: seconds since 1970. Of a cell's rows the latest counts

  bool is_made() const { return status == "done" || status == "stopped"; }
};

/// One object, whose keys are the fields' names. What is not known is null.
nlohmann::ordered_json json_of(const CellRow& row);
/// @throws std::exception  it is not what json_of wrote
CellRow cell_row_in(const nlohmann::ordered_json& json);

}  // namespace steplapse
