#include "base/strict_json.h"

#include <set>
#include <stdexcept>

namespace steplapse {

using nlohmann::json;

namespace {

template <typename Json>
Json parsed_strictly(std::string_view text) {
  using Event = typename Json::parse_event_t;
  std::vector<std::set<std::string>> open_objects;
  const auto check = [&](int depth, Event event, Json& parsed) {
    if (depth > 16) throw std::invalid_argument("is nested deeper than 16 levels");
    if (event == Event::object_start) open_objects.emplace_back();
    if (event == Event::object_end) open_objects.pop_back();
    if (event == Event::key && !open_objects.back().insert(parsed.template get<std::string>()).second) {
      throw std::invalid_argument("has the key " + shown(parsed) + " twice in one object");
    }
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const json::parse_error& error) {
    throw std::invalid_argument("is not JSON: wrong at byte " + std::to_string(error.byte) + " of " +
                                std::to_string(text.size()));
  } catch (const json::exception&) {
    throw std::invalid_argument("holds a number that is out of range");
  }
}

}  // namespace

json parse_strict_json(std::string_view text) { return parsed_strictly<json>(text); }

nlohmann::ordered_json parse_strict_ordered_json(std::string_view text) {
  return parsed_strictly<nlohmann::ordered_json>(text);
}

std::string shown(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list of " + std::to_string(value.size());
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

}  // namespace steplapse
