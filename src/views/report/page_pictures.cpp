#include "views/report/page_pictures.h"

#include <webp/encode.h>

#include <algorithm>
#include <array>
#include <new>
#include <numeric>
#include <stdexcept>

#include "base/file_io.h"
#include "base/png.h"
#include "views/picture_file.h"
#include "views/report/html.h"

namespace steplapse {
namespace {

constexpr size_t kLargestPng = size_t{1} << 31;
constexpr size_t kSample = 10;                        // pictures that sizes are estimated from
constexpr int kBestQuality = 95, kWorstQuality = 20;  // of WebP; below, blocks are all that one sees
constexpr std::array kParts{1, 2, 4};

size_t in_base64(size_t bytes) { return 4 * ((bytes + 2) / 3) + 32; }

/// @throws std::bad_alloc  no memory, or a side above WebP's 16383
std::string webp_of(const Picture& picture, int quality) {
  WebPConfig config;
  WebPPicture pixels;
  if (!WebPConfigPreset(&config, WEBP_PRESET_DEFAULT, static_cast<float>(quality)) || !WebPPictureInit(&pixels))
    throw std::logic_error("libwebp is of another version than its headers");
  config.method = 2;  // half the time of the usual 4, for a few percent of the bytes
  pixels.width = static_cast<int>(picture.width);
  pixels.height = static_cast<int>(picture.height);
  WebPMemoryWriter memory;
  WebPMemoryWriterInit(&memory);
  pixels.writer = WebPMemoryWrite;
  pixels.custom_ptr = &memory;
  const bool done = WebPPictureImportRGB(&pixels, picture.rgb.data(), static_cast<int>(3 * picture.width)) &&
                    WebPEncode(&config, &pixels);
  std::string bytes(reinterpret_cast<const char*>(memory.mem), memory.size);
  WebPPictureFree(&pixels);
  WebPMemoryWriterClear(&memory);
  if (!done) throw std::bad_alloc();
  return bytes;
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

Picture PagePictures::picture(size_t number) const { return read_picture(place(number)); }

std::string PagePictures::png(size_t number) const { return read_whole(place(number), kLargestPng); }

ReportPicture PagePictures::shown(size_t number) const {
  return {"", pictures_.at(number).width, pictures_.at(number).height};
}

PagePictures::Fitted PagePictures::fitted(size_t most_bytes) const {
  size_t lossless = 0;
  for (const Kept& kept : pictures_) lossless += in_base64(kept.bytes);
  if (lossless <= most_bytes) return encoded(kLossless, 1);
  const std::vector<Picture> sample = sampled();
  for (const int part : kParts) {
    // The estimate comes from some of the pictures alone.
    for (int quality = best_quality(sample, part, most_bytes); quality >= kWorstQuality; quality -= 3) {
      Fitted found = encoded(quality, part);
      if (found.bytes() <= most_bytes) return found;
    }
  }
  return encoded(kWorstQuality, kParts.back());
}

size_t PagePictures::Fitted::bytes() const {
  return std::accumulate(sources.begin(), sources.end(), size_t{0},
                         [](size_t sum, const std::string& source) { return sum + source.size(); });
}

std::vector<Picture> PagePictures::sampled() const {
  std::vector<Picture> sample;
  const size_t number = std::min(kSample, size());
  for (size_t i = 0; i < number; ++i) sample.push_back(picture(i * size() / number));
  return sample;
}

int PagePictures::best_quality(const std::vector<Picture>& sample, int part, size_t most_bytes) const {
  const auto fits = [&](int quality) {
    size_t bytes = 0;
    for (const Picture& picture : sample) bytes += in_base64(webp_of(smaller(picture, part), quality).size());
    return bytes * size() / sample.size() <= most_bytes;
  };
  int best = kWorstQuality - 1;
  for (int low = kWorstQuality, high = kBestQuality; low <= high;) {
    const int middle = (low + high) / 2;
    if (fits(middle)) {
      best = middle;
      low = middle + 1;
    } else {
      high = middle - 1;
    }
  }
  return best;
}

std::filesystem::path PagePictures::place(size_t number) const {
  return folder_.path() / (std::to_string(number) + ".png");
}

PagePictures::Fitted PagePictures::encoded(int quality, int part) const {
  Fitted fitted{{}, quality, part};
  for (size_t i = 0; i < size(); ++i) {
    fitted.sources.push_back(quality == kLossless
                                 ? data_uri("image/png", png(i))
                                 : data_uri("image/webp", webp_of(smaller(picture(i), part), quality)));
  }
  return fitted;
}

}  // namespace steplapse
