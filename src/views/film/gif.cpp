#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/file_io.h"
#include "steplapse/error.h"
#include "views/film/encoders.h"
#include "views/film/ffmpeg.h"

namespace steplapse {
namespace {

constexpr double kAnyRate = 50;          // ffmpeg has each picture once; how long it stands is written afterwards
constexpr int64_t kLeastDelay = 2;       // hundredths of a second: browsers show 0 and 1 as 10
constexpr size_t kDelayInBlock = 4;      // bytes before the delay in the block that goes before a picture
constexpr size_t kLargestGif = 1 << 30;  // bytes

/// A GIF's blocks, one after the other. Source: GIF89a specification, appendix B.
class Blocks {
 public:
  explicit Blocks(std::string& bytes) : bytes_(bytes), at_(13 + table_size(10)) {}

  /// The place of the next picture's delay, two bytes; npos after the last.
  size_t next_delay() {
    while (byte(at_) != ';') {
      const bool is_control = byte(at_) == '!' && byte(at_ + 1) == 0xf9;
      const size_t delay = at_ + kDelayInBlock;
      if (byte(at_) == ',')
        at_ += 10 + table_size(at_ + 9) + 1;  // a picture: its place, its colours, its code size
      else
        at_ += 2;
      while (const size_t length = byte(at_)) at_ += length + 1;
      ++at_;
      if (is_control) return delay;
    }
    return std::string::npos;
  }

 private:
  uint8_t byte(size_t at) const { return static_cast<uint8_t>(bytes_.at(at)); }
  size_t table_size(size_t flags) const { return byte(flags) & 0x80 ? size_t{3} << ((byte(flags) & 7) + 1) : 0; }

  std::string& bytes_;
  size_t at_;
};

std::string comment_block(const std::string& text) {
  std::string block = "!\xfe";
  for (size_t i = 0; i < text.size(); i += 255) {
    const std::string part = text.substr(i, 255);
    block += static_cast<char>(part.size()) + part;
  }
  return block + '\0';
}

/// Sets how long each picture stands, and puts a comment before the first.
/// @param ends  of each picture, in hundredths of a second
std::string finished_gif(std::string bytes, const std::vector<int64_t>& ends, const std::string& comment) {
  Blocks blocks(bytes);
  size_t picture = 0;
  for (size_t at; (at = blocks.next_delay()) != std::string::npos; ++picture) {
    const int64_t delay = ends.at(picture) - (picture > 0 ? ends[picture - 1] : 0);
    bytes.at(at) = static_cast<char>(delay & 0xff);
    bytes.at(at + 1) = static_cast<char>(delay >> 8);
  }
  if (picture != ends.size()) throw std::out_of_range("pictures are missing");
  if (!comment.empty()) bytes.insert(Blocks(bytes).next_delay() - kDelayInBlock, comment_block(comment));
  return bytes;
}

/// Each picture has colours of its own: those of noise are not those of what comes of it.
class Gif : public FilmEncoder {
 public:
  Gif(const FilmFile& file, const FilmFacts& facts)
      : path_(file.path),
        parameters_(facts.parameters),
        ffmpeg_(file, {facts.width, facts.height, kAnyRate, ""}, kAnyRate,
                {"-filter_complex",
                 "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1:dither=bayer:bayer_scale=5",
                 "-f", "gif"}) {}

  void add(const Picture& picture, double until) override {
    ffmpeg_.write(picture);
    ends_.push_back(std::max(std::lround(until * 100), (ends_.empty() ? 0 : ends_.back()) + kLeastDelay));
  }

  void finish() override {
    ffmpeg_.finish();
    try {
      ffmpeg_.file().write(finished_gif(read_whole(ffmpeg_.file().part(), kLargestGif), ends_, parameters_));
    } catch (const std::out_of_range& error) {
      throw OutputError(path_.string() + ": ffmpeg wrote no whole GIF: " + error.what());
    }
    ffmpeg_.file().finish();
  }

 private:
  std::filesystem::path path_;
  std::string parameters_;
  Ffmpeg ffmpeg_;
  std::vector<int64_t> ends_;
};

}  // namespace

std::unique_ptr<FilmEncoder> gif_encoder(const FilmFile& file, const FilmFacts& facts) {
  return std::make_unique<Gif>(file, facts);
}

}  // namespace steplapse
