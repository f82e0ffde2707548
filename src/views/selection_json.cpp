#include "views/selection_json.h"

#include <nlohmann/json.hpp>

#include "base/json_null.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

std::optional<int64_t> step_or_none(const nlohmann::json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<int64_t>());
}

}  // namespace

std::string selection_json(const FrameSelection& selection) {
  ordered_json kinds = ordered_json::array();
  for (const FrameKind kind : selection.kinds) kinds.push_back(name_of(kind));
  return ordered_json{{"kinds", kinds},
                      {"every", selection.every},
                      {"from", or_null(selection.from)},
                      {"to", or_null(selection.to)},
                      {"at", selection.at}}
      .dump();
}

FrameSelection selection_of(const std::string& json, const std::string& number) {
  const auto logged = nlohmann::json::parse(json);
  std::set<FrameKind> kinds;
  for (const auto& name : logged.at("kinds")) kinds.insert(frame_kind_named(name.get<std::string>()));
  return {.kinds = std::move(kinds),
          .every = logged.at("every"),
          .from = step_or_none(logged.at("from")),
          .to = step_or_none(logged.at("to")),
          .at = logged.at("at").get<std::set<int64_t>>(),
          .count_files = number == "frames"};
}

}  // namespace steplapse
