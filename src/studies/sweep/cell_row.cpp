#include "studies/sweep/cell_row.h"

#include <stdexcept>

#include "base/json_null.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

/// A value that is not finite was written as null.
template <typename Value>
void take(const ordered_json& json, const char* key, std::optional<Value>& value) {
  const ordered_json& found = json.at(key);
  if (!found.is_null()) value = found.get<Value>();
}

}  // namespace

ordered_json json_of(const CellRow& row) {
  return {{"cell", row.cell},
          {"status", row.status},
          {"reason", row.reason},
          {"folder", row.folder},
          {"settings", row.settings},
          {"steps", or_null(row.steps)},
          {"denoiser_calls", or_null(row.denoiser_calls)},
          {"shared_calls", or_null(row.shared_calls)},
          {"first_timestep", or_null(row.first_timestep)},
          {"settles", or_null(row.settles)},
          {"would_stop", or_null(row.would_stop)},
          {"high_frequency_power", or_null(row.high_frequency_power)},
          {"network_seconds", or_null(row.network_seconds)},
          {"decode_seconds", or_null(row.decode_seconds)},
          {"peak_memory", or_null(row.peak_memory)},
          {"final_sha256", row.final_sha256},
          {"stochastic", row.stochastic},
          {"written", row.written}};
}

CellRow cell_row_in(const ordered_json& json) {
  CellRow row;
  json.at("cell").get_to(row.cell);
  json.at("status").get_to(row.status);
  json.at("reason").get_to(row.reason);
  json.at("folder").get_to(row.folder);
  row.settings = json.at("settings");
  take(json, "steps", row.steps);
  take(json, "denoiser_calls", row.denoiser_calls);
  take(json, "shared_calls", row.shared_calls);
  take(json, "first_timestep", row.first_timestep);
  take(json, "settles", row.settles);
  take(json, "would_stop", row.would_stop);
  take(json, "high_frequency_power", row.high_frequency_power);
  take(json, "network_seconds", row.network_seconds);
  take(json, "decode_seconds", row.decode_seconds);
  take(json, "peak_memory", row.peak_memory);
  json.at("final_sha256").get_to(row.final_sha256);
  json.at("stochastic").get_to(row.stochastic);
  json.at("written").get_to(row.written);
  if (!row.is_made() && row.status != "failed" && row.status != "skipped")
    throw std::invalid_argument("`status` is " + row.status + ", expected done, stopped, failed or skipped");
  return row;
}

}  // namespace steplapse
