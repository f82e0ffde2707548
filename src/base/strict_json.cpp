#include "base/strict_json.h"

#include <stdexcept>
#include <string>
#include <unordered_set>
#include <vector>

namespace steplapse {

using nlohmann::json;

namespace {

constexpr size_t kDeepest = 16;  // objects and lists in each other

/// Looks at the text without building it. (The library's own callback for it takes quadratic time.)
class StrictChecker : public json::json_sax_t {
 public:
  explicit StrictChecker(size_t bytes) : bytes_(bytes) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return opened(); }
  bool end_object() override { return closed(); }
  bool start_array(size_t) override { return opened(); }
  bool end_array() override { return closed(); }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    throw std::invalid_argument("has the key " + shown(json(name)) + " twice in one object");
  }
  bool parse_error(size_t byte, const std::string&, const json::exception& error) override {
    if (dynamic_cast<const json::parse_error*>(&error))
      throw std::invalid_argument("is not JSON: wrong at byte " + std::to_string(byte) + " of " +
                                  std::to_string(bytes_));
    throw std::invalid_argument("holds a number that is out of range");
  }

 private:
  bool opened() {
    keys_.emplace_back();
    if (keys_.size() > kDeepest) throw std::invalid_argument("is nested deeper than 16 levels");
    return true;
  }
  bool closed() {
    keys_.pop_back();
    return true;
  }

  const size_t bytes_;
  std::vector<std::unordered_set<std::string>> keys_;  // of the objects that are open; a list has none
};

void check_strictly(std::string_view text) {
  StrictChecker checker(text.size());
  json::sax_parse(text, &checker);
}

}  // namespace

json parse_strict_json(std::string_view text) {
  check_strictly(text);
  return json::parse(text);
}

nlohmann::ordered_json parse_strict_ordered_json(std::string_view text) {
  check_strictly(text);
  return nlohmann::ordered_json::parse(text);
}

std::string shown(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list of " + std::to_string(value.size());
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

}  // namespace steplapse
