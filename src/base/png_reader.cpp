#include "base/png_reader.h"

#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <memory>

#include "base/file_io.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr size_t kMostBytes = size_t{1} << 30;
constexpr int64_t kMostPixels = int64_t{1} << 26;
constexpr size_t kSignature = 8;

/// What libpng's callbacks need. libpng leaves by longjmp, which destroys nothing: so all that is made on the way lies here.
struct Reading {
  std::string bytes;
  size_t next = 0;
  std::string failure = {};
  PngContent content = {};
  std::vector<png_bytep> rows = {};
};

Reading& reading_of(png_structp png) { return *static_cast<Reading*>(png_get_io_ptr(png)); }

void give_bytes(png_structp png, png_bytep to, size_t count) {
  Reading& reading = reading_of(png);
  if (count > reading.bytes.size() - reading.next) png_error(png, "it ends too early");
  std::memcpy(to, reading.bytes.data() + reading.next, count);
  reading.next += count;
}

[[noreturn]] void fail(png_structp png, png_const_charp message) {
  static_cast<Reading*>(png_get_error_ptr(png))->failure = message;
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

std::string from_latin1(const char* text, size_t length) {
  std::string utf8;
  for (size_t i = 0; i < length; ++i) {
    const auto character = static_cast<unsigned char>(text[i]);
    if (character < 0x80) {
      utf8 += static_cast<char>(character);
    } else {
      utf8 += static_cast<char>(0xc0 | character >> 6);
      utf8 += static_cast<char>(0x80 | (character & 0x3f));
    }
  }
  return utf8;
}

void keep_texts(png_structp png, png_infop info, std::map<std::string, std::string>& texts) {
  png_textp text = nullptr;
  const int count = png_get_text(png, info, &text, nullptr);
  for (int i = 0; i < count; ++i) {
    const bool is_utf8_text = text[i].compression >= PNG_ITXT_COMPRESSION_NONE;
    texts.emplace(text[i].key, is_utf8_text ? std::string(text[i].text, text[i].itxt_length)
                                            : from_latin1(text[i].text, text[i].text_length));
  }
}

/// Pixels of any kind as 8-bit RGB. @return false where libpng gave up
bool read_all(png_structp png, png_infop info, Reading& reading) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_read_fn(png, &reading, give_bytes);
  png_read_info(png, info);
  PngContent& content = reading.content;
  content.width = png_get_image_width(png, info);
  content.height = png_get_image_height(png, info);
  if (content.width * content.height > kMostPixels) png_error(png, "it has more than 2^26 pixels");
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  const size_t row_bytes = static_cast<size_t>(content.width) * 3;
  if (png_get_rowbytes(png, info) != row_bytes) png_error(png, "its pixels cannot be read as RGB");
  content.rgb.resize(row_bytes * static_cast<size_t>(content.height));
  for (int64_t y = 0; y < content.height; ++y)
    reading.rows.push_back(content.rgb.data() + static_cast<size_t>(y) * row_bytes);
  png_read_image(png, reading.rows.data());
  png_read_end(png, info);
  keep_texts(png, info, content.texts);
  return true;
}

}  // namespace

PngContent read_png(const std::filesystem::path& path) {
  Reading reading{.bytes = read_whole(path, kMostBytes)};
  const auto* head = reinterpret_cast<png_const_bytep>(reading.bytes.data());
  if (reading.bytes.size() < kSignature || png_sig_cmp(head, 0, kSignature) != 0)
    throw UsageError(in_quotes(path.string()) + ": not a PNG file");
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reading, fail, ignore_warning);
  if (!png) throw std::bad_alloc();
  png_infop info = png_create_info_struct(png);
  const bool is_read = info && read_all(png, info, reading);
  png_destroy_read_struct(&png, &info, nullptr);
  if (!is_read) throw UsageError(in_quotes(path.string()) + ": a damaged PNG file: " + reading.failure);
  return std::move(reading.content);
}

}  // namespace steplapse
