#include "base/png.h"

#include <libdeflate.h>
#include <unicode/utf8.h>

#include <climits>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace {

/// stb_image_write's deflate takes 7 times as long as libdeflate's fastest, whose files are a quarter smaller.
unsigned char* zlib_compress(unsigned char* data, int length, int* compressed_length, int /*quality*/) {
  const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(
      libdeflate_alloc_compressor(1), &libdeflate_free_compressor);
  if (!compressor) return nullptr;
  const size_t bound = libdeflate_zlib_compress_bound(compressor.get(), static_cast<size_t>(length));
  auto* const compressed = static_cast<unsigned char*>(std::malloc(bound));  // stb frees it
  if (!compressed) return nullptr;
  *compressed_length = static_cast<int>(
      libdeflate_zlib_compress(compressor.get(), data, static_cast<size_t>(length), compressed, bound));
  return compressed;
}

}  // namespace

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#define STBIW_ZLIB_COMPRESS zlib_compress
#include <stb/stb_image_write.h>

namespace steplapse {
namespace {

constexpr size_t kHeaderEnd = 8 + 25;  // the signature and IHDR

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

/// UTF-8 in Latin-1, or nothing where a character has no place there.
std::optional<std::string> latin1(const std::string& utf8) {
  std::string converted;
  for (size_t i = 0; i < utf8.size();) {
    UChar32 character;
    U8_NEXT(utf8.data(), i, utf8.size(), character);
    if (character < 0 || character > 0xff) return std::nullopt;
    converted += static_cast<char>(character);
  }
  return converted;
}

void check_keyword(const std::string& keyword) {
  const auto printable = [](char c) { return c > ' ' && c <= '~'; };
  bool fits = !keyword.empty() && keyword.size() <= 79;
  for (const char c : keyword) fits = fits && printable(c);
  if (!fits) throw std::invalid_argument("PNG keyword '" + keyword + "': expected 1 to 79 ASCII characters, no spaces");
}

void check_text(const PngText& text) {
  bool fits = text.text.size() < INT_MAX;
  for (size_t i = 0; fits && i < text.text.size();) {
    UChar32 character;
    U8_NEXT(text.text.data(), i, text.text.size(), character);
    fits = character > 0;
  }
  if (!fits) throw std::invalid_argument("PNG text '" + text.keyword + "': expected valid UTF-8 without NUL");
}

void check_size(size_t bytes, int64_t width, int64_t height) {
  const bool sane = width > 0 && height > 0 && width < INT_MAX / 4 && height < INT_MAX / (width * 3 + 1);  // stb's ints
  if (sane && bytes == static_cast<size_t>(width * height * 3)) return;
  throw std::invalid_argument("PNG of " + std::to_string(width) + " x " + std::to_string(height) + " pixels from " +
                              std::to_string(bytes) + " bytes");
}

}  // namespace

std::string png_chunk(std::string_view type, std::string_view data) {
  const std::string body = std::string(type) + std::string(data);
  return big_endian(static_cast<uint32_t>(data.size())) + body +
         big_endian(libdeflate_crc32(0, body.data(), body.size()));
}

std::string png_text_chunk(const PngText& text) {
  check_keyword(text.keyword);
  check_text(text);
  const std::string keyword = text.keyword + '\0';
  if (const auto plain = latin1(text.text)) return png_chunk("tEXt", keyword + *plain);
  const std::string not_compressed(2, '\0'), no_language(1, '\0'), no_translated_keyword(1, '\0');
  return png_chunk("iTXt", keyword + not_compressed + no_language + no_translated_keyword + text.text);
}

std::string encode_png(std::span<const uint8_t> pixels, int64_t width, int64_t height,
                       const std::vector<PngText>& texts) {
  check_size(pixels.size(), width, height);
  std::string text_chunks;
  for (const PngText& text : texts) text_chunks += png_text_chunk(text);

  int length = 0;
  const std::unique_ptr<unsigned char, decltype(&std::free)> plain(
      stbi_write_png_to_mem(pixels.data(), 0, static_cast<int>(width), static_cast<int>(height), 3, &length),
      &std::free);
  if (!plain) throw std::bad_alloc();
  std::string png(reinterpret_cast<const char*>(plain.get()), static_cast<size_t>(length));
  return png.insert(kHeaderEnd, text_chunks);
}

}  // namespace steplapse
