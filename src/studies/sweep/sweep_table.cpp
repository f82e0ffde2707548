#include "studies/sweep/sweep_table.h"

#include <algorithm>

#include "base/json_null.h"
#include "base/number_text.h"
#include "studies/sweep/planned_settings.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

void add_name(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

/// Those of run.json, in its order, and then those that plans have beside them.
std::vector<std::string> setting_names(const Sweep& sweep) {
  std::vector<std::string> names;
  for (const auto& row : sweep.rows) {
    if (!row || row->settings.is_null()) continue;
    if (row->settings.size() <= names.size() &&
        std::all_of(names.begin(), names.end(), [&](const auto& name) { return row->settings.contains(name); }))
      continue;  // as nearly all rows
    for (const auto& [name, value] : row->settings.items()) add_name(names, name);
  }
  for (const auto& [name, text] : sweep.plan.fixed) add_name(names, name);
  for (const SweepAxis& axis : sweep.plan.axes) {
    for (const SweepSettings& point : axis.points) {
      for (const auto& [name, text] : point) add_name(names, name);
    }
  }
  return names;
}

std::string csv_field(const ordered_json& value) {
  if (value.is_null()) return "";
  if (value.is_boolean()) return value.get<bool>() ? "~" : "";
  if (value.is_number_float()) return exact_text(value.get<double>());
  return value.is_string() ? csv_text(value.get<std::string>()) : value.dump();
}

std::string csv_of(const std::vector<std::string>& fields) {
  std::string line;
  for (const std::string& field : fields) line += (line.empty() ? "" : ",") + field;
  return line + "\n";
}

ordered_json text_or_null(const std::string& text) { return text.empty() ? ordered_json() : ordered_json(text); }

/// What was measured of a cell, after its settings.
void add_measured(ordered_json& json, const CellRow& row, const std::optional<SweepDistance>& distance) {
  json["denoiser_calls"] = or_null(row.denoiser_calls);
  json["shared_calls"] = or_null(row.shared_calls);
  json["steps_made"] = or_null(row.steps);
  json["first_timestep"] = or_null(row.first_timestep);
  json["settles_at_step"] = or_null(row.settles);
  json["would_stop_at_step"] = or_null(row.would_stop);
  json["stochastic"] = row.stochastic;
  json["reference"] = distance ? ordered_json(distance->reference + 1) : ordered_json();
  json["latents_rms"] = distance ? or_null(distance->latents_rms) : ordered_json();
  json["psnr"] = distance ? or_null(distance->psnr) : ordered_json();
  json["high_frequency_power"] = or_null(row.high_frequency_power);
  json["network_seconds"] = or_null(row.network_seconds);
  json["decode_seconds"] = or_null(row.decode_seconds);
  json["peak_memory"] = or_null(row.peak_memory);
  json["status"] = row.status;
  json["reason"] = text_or_null(row.reason);
  json["folder"] = text_or_null(row.folder);
  json["final_sha256"] = text_or_null(row.final_sha256);
}

}  // namespace

SweepTable::SweepTable(const Sweep& sweep, const std::vector<std::optional<SweepDistance>>& distances)
    : sweep_(sweep), distances_(distances), settings_(setting_names(sweep)) {}

void SweepTable::add_settings(ordered_json& json, size_t cell) const {
  const auto& row = sweep_.rows[cell];
  const auto planned = planned_texts(sweep_.plan, cell);
  for (const std::string& name : settings_) {
    ordered_json& value = json[name];
    const auto text = planned.find(name);
    if (row && row->settings.contains(name))
      value = row->settings[name];
    else if (text != planned.end())
      value = planned_value(name, text->second);
  }
}

ordered_json SweepTable::row(size_t cell) const {
  ordered_json json{{"cell", cell + 1}};
  add_settings(json, cell);
  add_measured(json, sweep_.rows[cell].value_or(CellRow{.cell = cell, .status = "missing"}), distances_[cell]);
  return json;
}

std::string SweepTable::csv_header() const {
  ordered_json names{{"cell", {}}};
  for (const std::string& name : settings_) names[name];
  add_measured(names, {.cell = 0, .status = ""}, std::nullopt);
  std::vector<std::string> fields;
  for (const auto& [name, value] : names.items()) fields.push_back(name);
  return csv_of(fields);
}

std::string SweepTable::csv_line(const ordered_json& row) {
  std::vector<std::string> fields;
  for (const auto& [name, value] : row.items()) fields.push_back(csv_field(value));
  return csv_of(fields);
}

std::string SweepTable::json_line(const ordered_json& row) {
  return row.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace steplapse
