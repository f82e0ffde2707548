#pragma once

#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/bundle.h"
#include "steplapse/settings.h"

namespace steplapse {

// Values of flags, read from their texts. All throw UsageError: the flag, what was found, what was expected.

inline constexpr int64_t kAnyNumber = std::numeric_limits<int64_t>::max();  // the plan knows what its model allows

int64_t integer_number(const std::string& flag, const std::string& text, int64_t least, int64_t most);
uint64_t seed_number(const std::string& flag, const std::string& text);  ///< -1: a random one
double real_number(const std::string& flag, const std::string& text, double least, double most);
Manifest::Size size_of(const std::string& flag, const std::string& text);  ///< 512x768
std::vector<std::string> list_of(const std::string& text);                 ///< a,b,c
std::vector<double> numbers_of(const std::string& flag, const std::string& text, const std::string& example);
/// A..B; A.. and ..B go on to the end.
Settings::Interval step_interval_of(const std::string& flag, const std::string& text);
Settings::Interval sigma_interval_of(const std::string& flag, const std::string& text);
std::set<int64_t> steps_of(const std::string& flag, const std::string& text);  ///< 1,5,30
/// One of the choices, or an error with the nearest.
std::string choice_of(const std::string& flag, const std::string& text, const std::vector<std::string>& choices);

}  // namespace steplapse
