#pragma once

#include <filesystem>
#include <string>

namespace steplapse::fuzz {

std::string content_of(const std::filesystem::path& file);

/// A file of the model that comes with the program.
std::string of_our_model(const std::string& name);

}  // namespace steplapse::fuzz
