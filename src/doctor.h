#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace steplapse {

/// A line of `steplapse doctor`: "memory", "21.3 GB available".
using Finding = std::pair<std::string, std::string>;

/// What a report of a fault has to say of this machine and this installation.
/// @param model  a bundle's folder; none: there is none to be found
std::vector<Finding> findings(const std::optional<std::filesystem::path>& model);

}  // namespace steplapse
