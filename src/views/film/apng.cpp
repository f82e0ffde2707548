#include <cmath>
#include <string>
#include <string_view>

#include "base/file_io.h"
#include "base/png.h"
#include "views/film/encoders.h"

namespace steplapse {
namespace {

constexpr size_t kSignature = 8, kHeader = 25;  // bytes; the header is the chunk IHDR
constexpr int64_t kMostThousandths = 65535;

std::string big_endian(int64_t value, int bytes) {
  std::string text;
  while (bytes-- > 0) text += static_cast<char>(value >> 8 * bytes);
  return text;
}

/// The pixels in a PNG file of encode_png: what is in its chunks IDAT.
std::string pixels_of(std::string_view png) {
  std::string pixels;
  for (size_t at = kSignature; at < png.size();) {
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<uint8_t>(png[at + i]);
    if (png.substr(at + 4, 4) == "IDAT") pixels += png.substr(at + 8, length);
    at += 12 + length;
  }
  return pixels;
}

/// A time as a fraction of two 16-bit numbers: in thousandths, or in tenths where that is too long.
std::string delay_of(int64_t thousandths) {
  const bool fits = thousandths <= kMostThousandths;
  return big_endian(fits ? thousandths : std::min(thousandths / 100, kMostThousandths), 2) +
         big_endian(fits ? 1000 : 10, 2);
}

/// A PNG of several pictures. Source: PNG specification, third edition, 11.3.6 (animation).
class Apng : public FilmEncoder {
 public:
  Apng(const FilmFile& file, const FilmFacts& facts) : path_(file.path), facts_(facts) {}

  void add(const Picture& picture, double until) override {
    const std::string png = encode_png(picture.rgb, picture.width, picture.height, {});
    if (pictures_ == 0) beginning_ = png.substr(0, kSignature + kHeader);
    const int64_t end = std::llround(until * 1000);
    const std::string whole = big_endian(facts_.width, 4) + big_endian(facts_.height, 4) + std::string(8, '\0');
    body_ += png_chunk("fcTL", big_endian(number_++, 4) + whole + delay_of(end - end_) + std::string(2, '\0'));
    if (pictures_ == 0) {
      body_ += png_chunk("IDAT", pixels_of(png));
    } else {
      body_ += png_chunk("fdAT", big_endian(number_++, 4) + pixels_of(png));
    }
    end_ = end;
    ++pictures_;
  }

  void finish() override {
    const std::string for_ever(4, '\0');
    std::string texts;
    if (!facts_.parameters.empty()) texts = png_text_chunk({"parameters", facts_.parameters});
    write_whole(path_, beginning_ + png_chunk("acTL", big_endian(pictures_, 4) + for_ever) + texts + body_ +
                           png_chunk("IEND", ""));
  }

 private:
  std::filesystem::path path_;
  FilmFacts facts_;
  std::string beginning_, body_;
  int64_t pictures_ = 0, number_ = 0, end_ = 0;
};

}  // namespace

std::unique_ptr<FilmEncoder> apng_encoder(const FilmFile& file, const FilmFacts& facts) {
  return std::make_unique<Apng>(file, facts);
}

}  // namespace steplapse
