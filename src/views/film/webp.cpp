#include <unicode/utf16.h>
#include <unicode/utf8.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <cmath>
#include <memory>
#include <new>
#include <stdexcept>

#include "base/file_io.h"
#include "views/film/encoders.h"

namespace steplapse {
namespace {

/// The text as web UIs keep it in a WebP: Exif's UserComment, in UTF-16.
/// Source: Exif 2.32, 4.6.5 (UserComment); TIFF 6.0, section 2.
std::string exif_of(const std::string& text) {
  const auto number = [](size_t value, int bytes) {
    std::string written;
    while (bytes-- > 0) written += static_cast<char>(value >> 8 * bytes);
    return written;
  };
  std::string comment("UNICODE\0", 8);
  for (size_t i = 0; i < text.size();) {
    UChar32 character;
    U8_NEXT_OR_FFFD(text.data(), i, text.size(), character);
    char16_t units[2];
    int32_t count = 0;
    U16_APPEND_UNSAFE(units, count, character);
    for (int32_t unit = 0; unit < count; ++unit) comment += number(units[unit], 2);
  }
  // A folder of one entry is 18 bytes: count, entry (tag, type, count, value or place), and 0 for no further folder.
  const auto folder = [&](size_t tag, size_t type, size_t count, size_t value) {
    return number(1, 2) + number(tag, 2) + number(type, 2) + number(count, 4) + number(value, 4) + number(0, 4);
  };
  return "MM" + number(42, 2) + number(8, 4) + folder(0x8769, 4, 1, 26) + folder(0x9286, 7, comment.size(), 44) +
         comment;
}

void check(bool went_well, const char* text) {
  if (!went_well) throw std::runtime_error(std::string("WebP: ") + text);
}

WebPData data_of(const std::string& bytes) { return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}; }

std::string taken(WebPData& data) {
  std::string bytes(reinterpret_cast<const char*>(data.bytes), data.size);
  WebPDataClear(&data);
  return bytes;
}

std::string with_exif(const std::string& webp, const std::string& exif) {
  const WebPData file = data_of(webp), chunk = data_of(exif);
  const std::unique_ptr<WebPMux, decltype(&WebPMuxDelete)> mux(WebPMuxCreate(&file, 0), WebPMuxDelete);
  WebPData assembled{};
  check(mux && WebPMuxSetChunk(mux.get(), "EXIF", &chunk, 0) == WEBP_MUX_OK &&
            WebPMuxAssemble(mux.get(), &assembled) == WEBP_MUX_OK,
        "cannot add the text");
  return taken(assembled);
}

class Webp : public FilmEncoder {
 public:
  Webp(const FilmFile& file, const FilmFacts& facts) : path_(file.path), parameters_(facts.parameters) {
    WebPAnimEncoderOptions options;
    check(WebPAnimEncoderOptionsInit(&options) && WebPConfigInit(&config_), "another version of the library");
    config_.lossless = !file.quality;
    if (file.quality) config_.quality = static_cast<float>(*file.quality);
    encoder_.reset(WebPAnimEncoderNew(static_cast<int>(facts.width), static_cast<int>(facts.height), &options));
    if (!encoder_) throw std::bad_alloc();
  }

  void add(const Picture& picture, double until) override {
    WebPPicture frame;
    check(WebPPictureInit(&frame), "another version of the library");
    const std::unique_ptr<WebPPicture, decltype(&WebPPictureFree)> held(&frame, WebPPictureFree);
    frame.use_argb = 1;
    frame.width = static_cast<int>(picture.width);
    frame.height = static_cast<int>(picture.height);
    if (!WebPPictureImportRGB(&frame, picture.rgb.data(), 3 * frame.width)) throw std::bad_alloc();
    if (!WebPAnimEncoderAdd(encoder_.get(), &frame, end_, &config_)) fail();
    end_ = static_cast<int>(std::lround(until * 1000));
  }

  void finish() override {
    WebPData data{};
    if (!WebPAnimEncoderAdd(encoder_.get(), nullptr, end_, nullptr)) fail();
    if (!WebPAnimEncoderAssemble(encoder_.get(), &data)) fail();
    const std::string webp = taken(data);
    write_whole(path_, parameters_.empty() ? webp : with_exif(webp, exif_of(parameters_)));
  }

 private:
  [[noreturn]] void fail() const {
    const char* const why = WebPAnimEncoderGetError(encoder_.get());
    throw std::runtime_error(std::string("WebP: ") + (why ? why : "cannot encode"));
  }

  std::filesystem::path path_;
  std::string parameters_;
  WebPConfig config_;
  std::unique_ptr<WebPAnimEncoder, decltype(&WebPAnimEncoderDelete)> encoder_{nullptr, WebPAnimEncoderDelete};
  int end_ = 0;  // thousandths of a second
};

}  // namespace

std::unique_ptr<FilmEncoder> webp_encoder(const FilmFile& file, const FilmFacts& facts) {
  return std::make_unique<Webp>(file, facts);
}

}  // namespace steplapse
