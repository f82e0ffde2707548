#include "views/picture_file.h"

#include <utility>

#include "base/png_reader.h"

namespace steplapse {

Picture read_picture(const std::filesystem::path& file) {
  PngContent content = read_png(file);
  return {content.width, content.height, std::move(content.rgb)};
}

std::optional<Picture> picture_if_there(const std::filesystem::path& file) {
  std::error_code unreadable;
  if (!std::filesystem::exists(file, unreadable)) return std::nullopt;
  return read_picture(file);
}

}  // namespace steplapse
