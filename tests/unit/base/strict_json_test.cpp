#include "base/strict_json.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace steplapse {
namespace {

std::string json_refusal(const std::string& text) {
  try {
    parse_strict_json(text);
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST(StrictJson, HasTheValuesOfItsText) {
  EXPECT_EQ(parse_strict_json(R"({"a": [1, 2.5, null, "b"]})"), nlohmann::json::parse(R"({"a": [1, 2.5, null, "b"]})"));
}

TEST(StrictJson, NamesWhatIsWrong) {
  EXPECT_EQ(json_refusal(R"({"a": 1, "a": 2})"), "has the key \"a\" twice in one object");
  EXPECT_EQ(json_refusal(R"([{"a": 1}, {"a": 2}])"), "");
  EXPECT_EQ(json_refusal(R"({"a": 1e999})"), "holds a number that is out of range");
  EXPECT_EQ(json_refusal(R"({"a": )"), "is not JSON: wrong at byte 7 of 6");
  EXPECT_EQ(json_refusal(std::string(16, '[') + std::string(16, ']')), "");
  EXPECT_EQ(json_refusal(std::string(17, '[') + std::string(17, ']')), "is nested deeper than 16 levels");
}

// With the library's own callback this took minutes.
TEST(StrictJson, TakesLongObjectsAndLists) {
  std::string object = "{", list = "[";
  for (int i = 0; i < 40'000; ++i) {
    object += "\"" + std::to_string(i) + "\": {\"dtype\": [1, 2]}, ";
    list += "[" + std::to_string(i) + "], ";
  }
  EXPECT_EQ(parse_strict_json(object + "\"end\": 0}").size(), 40'001u);
  EXPECT_EQ(parse_strict_json(list + "0]").size(), 40'001u);
}

}  // namespace
}  // namespace steplapse
