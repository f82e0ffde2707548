#include "base/png.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#include <stb/stb_image.h>

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::StrEq;
using testing::ThrowsMessage;
using namespace std::string_literals;

struct Chunk {
  std::string type, data;
  bool crc_holds;
};

/// Bit by bit, as ISO 3309 defines it.
uint32_t crc32(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ 0xEDB88320 : crc >> 1;
  }
  return ~crc;
}

uint32_t big_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

std::vector<Chunk> chunks_of(std::string_view png) {
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  std::vector<Chunk> chunks;
  for (png.remove_prefix(8); !png.empty();) {
    const size_t size = big_endian(png);
    chunks.push_back({std::string(png.substr(4, 4)), std::string(png.substr(8, size)),
                      crc32(png.substr(4, 4 + size)) == big_endian(png.substr(8 + size))});
    png.remove_prefix(12 + size);
  }
  return chunks;
}

std::vector<uint8_t> random_pixels(size_t count) {
  std::mt19937 random(1);
  std::vector<uint8_t> pixels(count);
  for (uint8_t& value : pixels) value = static_cast<uint8_t>(random() >> 24);
  return pixels;
}

const std::vector<uint8_t> kRedDot = {255, 0, 0};

std::string types_of(const std::vector<Chunk>& chunks) {
  std::string types;
  for (const Chunk& chunk : chunks) types += chunk.type + ' ';
  return types;
}

TEST(Png, CrcOfTheTestsIsTheStandards) { EXPECT_EQ(crc32("123456789"), 0xCBF43926u); }

TEST(Png, GivesItsPixelsToAnotherDecoder) {
  const auto pixels = random_pixels(7 * 5 * 3);
  const std::string png = encode_png(pixels, 7, 5, {{"parameters", "red apple"}});
  int width = 0, height = 0, channels = 0;
  stbi_uc* const decoded = stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(png.data()),
                                                 static_cast<int>(png.size()), &width, &height, &channels, 0);
  ASSERT_NE(decoded, nullptr) << stbi_failure_reason();
  EXPECT_THAT((std::array{width, height, channels}), ElementsAre(7, 5, 3));
  EXPECT_EQ(std::vector<uint8_t>(decoded, decoded + pixels.size()), pixels);
  stbi_image_free(decoded);
}

TEST(Png, HasTextsInOrderBeforeThePixelsAndEveryCrcHolds) {
  const auto chunks = chunks_of(encode_png(kRedDot, 1, 1, {{"parameters", "a\nb"}, {"steplapse", "{}"}}));
  EXPECT_EQ(types_of(chunks), "IHDR tEXt tEXt IDAT IEND ");
  EXPECT_EQ(chunks[1].data, "parameters\0a\nb"s);
  EXPECT_EQ(chunks[2].data, "steplapse\0{}"s);
  for (const Chunk& chunk : chunks) EXPECT_TRUE(chunk.crc_holds) << chunk.type;
}

TEST(Png, HoldsLatin1AsTextAndTheRestAsInternationalText) {
  const auto chunks =
      chunks_of(encode_png(kRedDot, 1, 1, {{"a", "caf\u00e9 \u00ff"}, {"b", "\u0100"}, {"c", "\U0001F34E"}}));
  EXPECT_EQ(types_of(chunks), "IHDR tEXt iTXt iTXt IDAT IEND ");
  EXPECT_EQ(chunks[1].data, "a\0caf\xe9 \xff"s);
  EXPECT_EQ(chunks[2].data, "b\0\0\0\0\0\u0100"s);
  EXPECT_EQ(chunks[3].data, "c\0\0\0\0\0\U0001F34E"s);
  EXPECT_TRUE(chunks[1].crc_holds && chunks[2].crc_holds);
}

TEST(Png, HoldsNoDate) {
  const auto pixels = random_pixels(64 * 64 * 3);
  const std::string png = encode_png(pixels, 64, 64, {});
  EXPECT_EQ(png, encode_png(pixels, 64, 64, {}));
  EXPECT_EQ(types_of(chunks_of(png)), "IHDR IDAT IEND ");
}

TEST(Png, CompressesAsWellAsLibdeflate) {
  const std::vector<uint8_t> white(512 * 512 * 3, 255);
  EXPECT_LT(encode_png(white, 512, 512, {}).size(), 8000u);  // stored it would be 786 KB
}

TEST(Png, RefusesPixelsThatDoNotFit) {
  EXPECT_THAT([] { encode_png(kRedDot, 2, 1, {}); },
              ThrowsMessage<std::invalid_argument>(StrEq("PNG of 2 x 1 pixels from 3 bytes")));
  EXPECT_THROW(encode_png({}, 0, 1, {}), std::invalid_argument);
  EXPECT_THROW(encode_png({}, -1, 1, {}), std::invalid_argument);
  EXPECT_THROW(encode_png({}, int64_t{1} << 62, 4, {}), std::invalid_argument);
}

TEST(Png, RefusesTextItCannotHold) {
  const auto with = [](std::string keyword, std::string text) {
    return [=] { encode_png(kRedDot, 1, 1, {{keyword, text}}); };
  };
  EXPECT_THAT(with("a", "\xff"),
              ThrowsMessage<std::invalid_argument>(StrEq("PNG text 'a': expected valid UTF-8 without NUL")));
  EXPECT_THROW(with("a", "x\0y"s)(), std::invalid_argument);
  EXPECT_THAT(with("a b", ""), ThrowsMessage<std::invalid_argument>(
                                   StrEq("PNG keyword 'a b': expected 1 to 79 ASCII characters, no spaces")));
  EXPECT_THROW(with("", "x")(), std::invalid_argument);
  EXPECT_THROW(with(std::string(80, 'k'), "x")(), std::invalid_argument);
  EXPECT_NO_THROW(with(std::string(79, 'k'), "")());
}

}  // namespace
}  // namespace steplapse
