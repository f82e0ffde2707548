#include "views/report/page_pictures.h"

#include <webp/encode.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <numeric>

#include "base/file_io.h"
#include "base/png.h"
#include "views/picture_file.h"
#include "views/report/html.h"

namespace steplapse {
namespace {

constexpr size_t kLargestPng = size_t{1} << 31;
constexpr size_t kSample = 12;                        // pictures that sizes are estimated from
constexpr int kBestQuality = 95, kWorstQuality = 20;  // of WebP; below, blocks are all that one sees
constexpr std::array kParts{1, 2, 4};

size_t in_base64(size_t bytes) { return 4 * ((bytes + 2) / 3) + 32; }

std::string webp_of(const Picture& picture, int quality) {
  uint8_t* bytes = nullptr;
  const size_t size =
      WebPEncodeRGB(picture.rgb.data(), static_cast<int>(picture.width), static_cast<int>(picture.height),
                    static_cast<int>(3 * picture.width), static_cast<float>(quality), &bytes);
  const std::unique_ptr<uint8_t, void (*)(void*)> freed(bytes, WebPFree);
  if (size == 0) throw std::bad_alloc();
  return {reinterpret_cast<const char*>(bytes), size};
}

/// Smaller by a whole factor: each pixel is the mean of a square. What is left over at the edges is cut off.
Picture smaller(const Picture& picture, int part) {
  if (part == 1 || picture.width < part || picture.height < part) return picture;
  Picture small{picture.width / part, picture.height / part, {}};
  small.rgb.reserve(static_cast<size_t>(small.width * small.height * 3));
  for (int64_t y = 0; y < small.height; ++y) {
    for (int64_t x = 0; x < small.width; ++x) {
      for (int64_t channel = 0; channel < 3; ++channel) {
        int sum = 0;
        for (int64_t i = 0; i < part * part; ++i)
          sum += picture.rgb[static_cast<size_t>(((y * part + i / part) * picture.width + x * part + i % part) * 3 +
                                                 channel)];
        small.rgb.push_back(static_cast<uint8_t>((sum + part * part / 2) / (part * part)));
      }
    }
  }
  return small;
}

}  // namespace

size_t PagePictures::add(const Picture& picture, const std::filesystem::path& file) {
  const std::string png = encode_png(picture.rgb, picture.width, picture.height, {});
  pictures_.push_back({file, picture.width, picture.height, png.size()});
  write_whole(place(size() - 1), png);
  return size() - 1;
}

std::string PagePictures::png(size_t number) const { return read_whole(place(number), kLargestPng); }

ReportPicture PagePictures::shown(size_t number) const {
  return {"", pictures_.at(number).width, pictures_.at(number).height};
}

PagePictures::Fitted PagePictures::fitted(size_t most_bytes) const {
  size_t lossless = 0;
  for (const Kept& kept : pictures_) lossless += in_base64(kept.bytes);
  if (lossless <= most_bytes) return encoded(100, 1);
  for (const int part : kParts) {
    if (part != kParts.back() && estimated(kWorstQuality, part) > most_bytes) continue;
    int fits = kWorstQuality;
    for (int low = kWorstQuality, high = kBestQuality; low <= high;) {
      const int middle = (low + high) / 2;
      if (estimated(middle, part) <= most_bytes) {
        fits = middle;
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    // The estimate comes from some of the pictures alone.
    for (int quality = fits; quality >= kWorstQuality; quality -= 4) {
      Fitted found = encoded(quality, part);
      const size_t bytes = std::accumulate(found.sources.begin(), found.sources.end(), size_t{0},
                                           [](size_t sum, const std::string& source) { return sum + source.size(); });
      if (bytes <= most_bytes) return found;
    }
  }
  return encoded(kWorstQuality, kParts.back());
}

std::filesystem::path PagePictures::place(size_t number) const {
  return folder_.path() / (std::to_string(number) + ".png");
}

size_t PagePictures::estimated(int quality, int part) const {
  const size_t sample = std::min(kSample, size());
  size_t bytes = 0;
  for (size_t i = 0; i < sample; ++i)
    bytes += in_base64(webp_of(smaller(read_picture(place(i * size() / sample)), part), quality).size());
  return bytes * size() / sample;
}

PagePictures::Fitted PagePictures::encoded(int quality, int part) const {
  Fitted fitted{{}, quality, part};
  for (size_t i = 0; i < size(); ++i) {
    fitted.sources.push_back(quality == 100
                                 ? data_uri("image/png", png(i))
                                 : data_uri("image/webp", webp_of(smaller(read_picture(place(i)), part), quality)));
  }
  return fitted;
}

}  // namespace steplapse
