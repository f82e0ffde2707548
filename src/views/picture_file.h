#pragma once

#include <filesystem>
#include <optional>

#include "views/picture.h"

namespace steplapse {

/// A picture that a run wrote. @throws UsageError  as read_png
Picture read_picture(const std::filesystem::path& file);

/// The same where there is one.
std::optional<Picture> picture_if_there(const std::filesystem::path& file);

}  // namespace steplapse
