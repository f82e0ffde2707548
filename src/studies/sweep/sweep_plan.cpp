#include "studies/sweep/sweep_plan.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "base/strict_json.h"
#include "base/text.h"
#include "steplapse/error.h"
#include "studies/sweep/sweep_words.h"
#include "views/selection_json.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

constexpr const char* kVersionKey = "sweep_plan";

// ---- writing

/// A setting that stands several times has a list of texts.
ordered_json json_of_settings(const SweepSettings& settings) {
  ordered_json json = ordered_json::object();
  for (const auto& [name, text] : settings) {
    ordered_json& value = json[name];
    if (value.is_null()) {
      value = text;
    } else if (value.is_string()) {
      value = {value, text};
    } else {
      value.push_back(text);
    }
  }
  return json;
}

bool sets_its_name(const SweepAxis& axis) {
  return std::all_of(axis.points.begin(), axis.points.end(),
                     [&](const SweepSettings& point) { return point.size() == 1 && point.front().first == axis.name; });
}

ordered_json json_of_axis(const SweepAxis& axis) {
  ordered_json items = ordered_json::array();
  const bool short_form = sets_its_name(axis);
  for (const SweepSettings& point : axis.points) {
    items.push_back(short_form ? ordered_json(point.front().second) : json_of_settings(point));
  }
  return {{"name", axis.name}, {short_form ? "values" : "points", std::move(items)}};
}

ordered_json json_of_frames(const FrameSelection& frames) {
  ordered_json json = ordered_json::parse(selection_json(frames));
  json["number"] = frames.count_files ? "frames" : "steps";
  return json;
}

std::string json_with_model(const SweepPlan& plan, const std::string& model) {
  ordered_json axes = ordered_json::array();
  for (const SweepAxis& axis : plan.axes) axes.push_back(json_of_axis(axis));
  ordered_json json{{kVersionKey, SweepPlan::kVersion},  {"model", model},
                    {"model_sha256", plan.model_sha256}, {"fixed", json_of_settings(plan.fixed)},
                    {"axes", std::move(axes)},           {"skip_invalid", plan.skip_invalid}};
  if (!plan.frames.kinds.empty()) json["frames"] = json_of_frames(plan.frames);
  return json.dump(1, ' ', /*ensure_ascii=*/false, ordered_json::error_handler_t::replace) + "\n";
}

// ---- reading

/// What is wrong at a place of the file: plan.json: axes[1].values[3]: ...
[[noreturn]] void refuse_plan(const std::string& place, const std::string& what) {
  throw UsageError(place + ": " + what);
}

std::string item_of(const std::string& place, const std::string& list, size_t i) {
  return place + list + "[" + std::to_string(i) + "]";
}

void check_plan_keys(const ordered_json& json, const std::string& place, const std::vector<std::string>& known,
                     const std::vector<std::string>& needed) {
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    refuse_plan(place,
                "unknown key " + in_quotes(key) + did_you_mean(key, known, "; choose from " + joined(known, ", ")));
  }
  for (const std::string& key : needed) {
    if (!json.contains(key)) refuse_plan(place, "no " + in_quotes(key) + " in it");
  }
}

std::string plan_text(const ordered_json& json, const std::string& place) {
  if (!json.is_string()) refuse_plan(place, "is " + shown(json) + ", expected a text");
  return json;
}

bool plan_switch(const ordered_json& json, const std::string& place) {
  if (!json.is_boolean()) refuse_plan(place, "is " + shown(json) + ", expected true or false");
  return json;
}

const ordered_json& plan_list(const ordered_json& json, const std::string& place) {
  if (!json.is_array() || json.empty()) refuse_plan(place, "is " + shown(json) + ", expected a list of one or more");
  return json;
}

/// As a flag has it; people may write numbers.
std::string setting_text(const ordered_json& json, const std::string& place) {
  if (json.is_number()) return json.dump();
  if (!json.is_string()) refuse_plan(place, "is " + shown(json) + ", expected a text or a number");
  return json;
}

SweepSettings settings_in(const ordered_json& json, const std::string& place) {
  if (!json.is_object()) refuse_plan(place, "is " + shown(json) + ", expected an object as {\"steps\": 20}");
  SweepSettings settings;
  for (const auto& [name, value] : json.items()) {
    const std::string at = place + "." + name;
    if (!value.is_array()) {
      settings.emplace_back(name, setting_text(value, at));
      continue;
    }
    if (!changes_words(name)) refuse_plan(at, "is a list, expected one text or number");
    for (const auto& item : plan_list(value, at)) settings.emplace_back(name, setting_text(item, at));
  }
  return settings;
}

SweepAxis axis_in(const ordered_json& json, const std::string& place) {
  if (!json.is_object()) refuse_plan(place, "is " + shown(json) + ", expected an object");
  check_plan_keys(json, place, {"name", "values", "points"}, {"name"});
  SweepAxis axis{.name = plan_text(json.at("name"), place + ".name"), .points = {}};
  if (json.contains("values") == json.contains("points"))
    refuse_plan(place, "expected either 'values' or 'points' in it");
  const std::string list = json.contains("values") ? "values" : "points";
  for (const ordered_json& item : plan_list(json.at(list), place + "." + list)) {
    const std::string at = item_of(place, "." + list, axis.points.size());
    axis.points.push_back(list == "points" ? settings_in(item, at)
                                           : SweepSettings{{axis.name, setting_text(item, at)}});
  }
  return axis;
}

FrameSelection selection_in(const ordered_json& json, const std::string& place) {
  try {
    check_plan_keys(json, place, {"kinds", "every", "from", "to", "at", "number"}, {"kinds"});
    const ordered_json usual = json_of_frames({});
    ordered_json whole = usual;
    whole.update(json);
    FrameSelection frames = selection_of(whole.dump(), plan_text(whole.at("number"), place + ".number"));
    if (frames.every < 1) refuse_plan(place + ".every", "is " + shown(json.at("every")) + ", expected 1 or more");
    return frames;
  } catch (const nlohmann::json::exception&) {
    refuse_plan(place, "expected an object as " + json_of_frames({}).dump());
  } catch (const std::invalid_argument& error) {
    refuse_plan(place, error.what());
  }
}

void check_version(const ordered_json& json, const std::string& place) {
  if (!json.is_object() || !json.contains(kVersionKey))
    refuse_plan(place, "is no plan of a sweep: no key 'sweep_plan' in it; steplapse sweep plan writes one");
  const ordered_json& version = json.at(kVersionKey);
  if (!version.is_number_integer() || version < 1)
    refuse_plan(place, "'sweep_plan' is " + shown(version) + ", expected the plan's version, a number of 1 or more");
  if (version > SweepPlan::kVersion)
    refuse_plan(place, "is a sweep plan of version " + shown(version) + ", and this steplapse reads up to version " +
                           std::to_string(SweepPlan::kVersion) + "; run it with the newer one that made it");
}

}  // namespace

size_t SweepPlan::cells() const {
  size_t cells = 1;
  for (const SweepAxis& axis : axes) {
    if (axis.points.size() > kMostCells) return kMostCells + 1;
    cells = std::min(cells * axis.points.size(), kMostCells + 1);
  }
  return cells;
}

std::vector<size_t> SweepPlan::points_of(size_t cell) const {
  std::vector<size_t> points(axes.size());
  for (size_t i = axes.size(); i-- > 0;) {
    points[i] = cell % axes[i].points.size();
    cell /= axes[i].points.size();
  }
  return points;
}

SweepSettings SweepPlan::settings_of(size_t cell) const {
  SweepSettings settings = fixed;
  const std::vector<size_t> points = points_of(cell);
  for (size_t i = 0; i < axes.size(); ++i) {
    const SweepSettings& point = axes[i].points[points[i]];
    settings.insert(settings.end(), point.begin(), point.end());
  }
  return settings;
}

std::string json_of(const SweepPlan& plan) { return json_with_model(plan, plan.model.string()); }

std::string sha256_of(const SweepPlan& plan) { return sha256(json_with_model(plan, "")); }

SweepPlan sweep_plan_in(const std::string& text, const std::string& place) {
  ordered_json json;
  try {
    json = parse_strict_ordered_json(text);
  } catch (const std::invalid_argument& error) {
    throw UsageError(place + " " + error.what());
  }
  check_version(json, place);
  check_plan_keys(json, place, {kVersionKey, "model", "model_sha256", "fixed", "axes", "skip_invalid", "frames"},
                  {"model", "axes"});
  SweepPlan plan;
  plan.model = plan_text(json.at("model"), place + ": model");
  if (json.contains("model_sha256")) plan.model_sha256 = plan_text(json.at("model_sha256"), place + ": model_sha256");
  if (json.contains("fixed")) plan.fixed = settings_in(json.at("fixed"), place + ": fixed");
  if (!json.at("axes").is_array()) refuse_plan(place + ": axes", "is " + shown(json.at("axes")) + ", expected a list");
  for (const ordered_json& axis : json.at("axes"))
    plan.axes.push_back(axis_in(axis, item_of(place, ": axes", plan.axes.size())));
  if (json.contains("skip_invalid")) plan.skip_invalid = plan_switch(json.at("skip_invalid"), place + ": skip_invalid");
  if (json.contains("frames")) plan.frames = selection_in(json.at("frames"), place + ": frames");
  check_axes(plan, place);
  return plan;
}

void check_axes(const SweepPlan& plan, const std::string& place) {
  const std::string at = place.empty() ? "" : place + ": ";
  std::map<std::string, std::string> set_by;  // setting, to who sets it
  const auto claim = [&](const std::string& setting, const std::string& who) {
    if (changes_words(setting)) return;
    const auto [there, is_new] = set_by.emplace(setting, who);
    if (!is_new && there->second != who)
      throw UsageError(at + "`" + setting + "` is set by " + there->second + " and by " + who + "; leave one out");
  };
  for (const auto& [setting, text] : plan.fixed) claim(setting, "what all cells have");
  for (const SweepAxis& axis : plan.axes) {
    if (axis.points.empty()) throw UsageError(at + "the axis " + in_quotes(axis.name) + " has no values");
    for (const SweepSettings& point : axis.points) {
      for (const auto& [setting, text] : point) claim(setting, "the axis " + in_quotes(axis.name));
    }
  }
  if (plan.cells() <= SweepPlan::kMostCells) return;
  std::vector<std::string> sizes;
  for (const SweepAxis& axis : plan.axes) sizes.push_back(std::to_string(axis.points.size()) + " " + axis.name);
  throw UsageError(at + joined(sizes, " x ") + " are more cells than " + std::to_string(SweepPlan::kMostCells) +
                   "; sweep over less at once");
}

}  // namespace steplapse
