#include "base/terminal_picture.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace steplapse {
namespace {

using Rgb = std::array<int, 3>;

constexpr size_t kLargestChunk = 4096;  // of base64, says kitty's protocol

/// The mean of a rectangle of pixels.
Rgb mean(const Pixels& pixels, size_t left, size_t top, size_t right, size_t bottom) {
  Rgb sum{};
  for (size_t y = top; y < bottom; ++y) {
    for (size_t x = left; x < right; ++x) {
      for (size_t colour = 0; colour < 3; ++colour) sum[colour] += pixels.rgb[(y * pixels.width + x) * 3 + colour];
    }
  }
  const auto count = static_cast<int>((right - left) * (bottom - top));
  for (int& colour : sum) colour = (colour + count / 2) / count;
  return sum;
}

std::string colour_code(int ground, const Rgb& colour) {
  std::string code = "\033[" + std::to_string(ground) + ";2";
  for (const int part : colour) code += ";" + std::to_string(part);
  return code + "m";
}

std::string base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

}  // namespace

TerminalPicture half_blocks(const Pixels& pixels, size_t columns, size_t rows) {
  const double scale = std::min({1.0, static_cast<double>(columns) / static_cast<double>(pixels.width),
                                 2.0 * static_cast<double>(rows) / static_cast<double>(pixels.height)});
  const auto scaled = [&](size_t side) {
    return std::max<size_t>(1, static_cast<size_t>(std::floor(static_cast<double>(side) * scale)));
  };
  const size_t width = scaled(pixels.width), height = scaled(pixels.height);
  const auto pixel = [&](size_t x, size_t y) {
    return mean(pixels, x * pixels.width / width, y * pixels.height / height, (x + 1) * pixels.width / width,
                (y + 1) * pixels.height / height);
  };
  TerminalPicture picture{"", (height + 1) / 2};
  for (size_t y = 0; y < height; y += 2) {
    for (size_t x = 0; x < width; ++x) {
      picture.text += colour_code(38, pixel(x, y));
      if (y + 1 < height) picture.text += colour_code(48, pixel(x, y + 1));
      picture.text += "\u2580";
    }
    picture.text += "\033[0m\r\n";
  }
  return picture;
}

TerminalPicture kitty_picture(std::string_view png, size_t width, size_t height, size_t columns, size_t rows) {
  // A cell is about twice as high as wide.
  const double cells = std::min(static_cast<double>(rows), static_cast<double>(columns) * static_cast<double>(height) /
                                                               (2 * static_cast<double>(width)));
  const auto used_rows = std::max<size_t>(1, static_cast<size_t>(cells));
  // C=1 leaves the cursor where it is; i and p name the picture and its place, so that the next one replaces it; q=2: no
  // answer, which would come as if typed.
  std::string control = "a=T,f=100,i=1,p=1,C=1,q=2,r=" + std::to_string(used_rows);
  std::string text(used_rows, '\n');  // the screen scrolls now, not under the picture
  text += "\033[" + std::to_string(used_rows) + "A\r";
  const std::string data = base64(png);
  for (size_t at = 0; at < data.size(); at += kLargestChunk) {
    const bool last = at + kLargestChunk >= data.size();
    text += "\033_G" + control + (control.empty() ? "m=" : ",m=") + (last ? "0" : "1") + ";" +
            data.substr(at, kLargestChunk) + "\033\\";
    control.clear();
  }
  return {text + "\033[" + std::to_string(used_rows) + "B\r", used_rows};
}

}  // namespace steplapse
