#include "views/film/ffmpeg.h"

#include <unistd.h>

#include <cmath>

#include "base/text.h"
#include "steplapse/error.h"
#include "views/film/encoders.h"

namespace steplapse {
namespace {

constexpr size_t kLongestComment = 100'000;  // bytes: the system takes 128 KiB in an argument

std::filesystem::path found_ffmpeg() {
  const auto program = program_on_path("ffmpeg");
  if (!program) throw OutputError("ffmpeg is not on the PATH");
  return *program;
}

std::vector<std::string> all_arguments(const PartFile& part, const FilmFacts& facts, double rate,
                                       const std::vector<std::string>& for_output) {
  const std::string size = std::to_string(facts.width) + "x" + std::to_string(facts.height);
  std::vector<std::string> arguments{"-hide_banner", "-loglevel",  "error",     "-nostdin", "-y",
                                     "-f",           "rawvideo",   "-pix_fmt",  "rgb24",    "-s",
                                     size,           "-framerate", plain(rate), "-i",       "pipe:0"};
  arguments.insert(arguments.end(), for_output.begin(), for_output.end());
  if (!facts.parameters.empty() && facts.parameters.size() <= kLongestComment)
    arguments.insert(arguments.end(), {"-metadata", "comment=" + facts.parameters});
  arguments.push_back("file:" + part.part().string());
  return arguments;
}

/// A film of a constant rate.
class Video : public FilmEncoder {
 public:
  Video(const FilmFile& file, const FilmFacts& facts, const std::vector<std::string>& arguments)
      : rate_(facts.rate), ffmpeg_(file, facts, facts.rate, arguments) {}

  void add(const Picture& picture, double until) override {
    for (const auto end = std::llround(until * rate_); written_ < end; ++written_) ffmpeg_.write(picture);
  }

  void finish() override {
    ffmpeg_.finish();
    ffmpeg_.file().finish();
  }

 private:
  double rate_;
  int64_t written_ = 0;
  Ffmpeg ffmpeg_;
};

}  // namespace

Ffmpeg::Ffmpeg(const FilmFile& file, const FilmFacts& facts, double rate, const std::vector<std::string>& arguments)
    : path_(file.path),
      part_(file.path),
      process_(found_ffmpeg(), all_arguments(part_, facts, rate, arguments)),
      watch_([this](int) {
        process_.kill();
        ::unlink(part_.part().c_str());
      }) {}

void Ffmpeg::fail(const std::string& words) const {
  throw OutputError(path_.string() + ": ffmpeg failed: " + escaped(words, 300));
}

void Ffmpeg::write(const Picture& picture) {
  if (process_.write({reinterpret_cast<const char*>(picture.rgb.data()), picture.rgb.size()})) return;
  const auto ending = process_.finish();
  fail(ending.is_good ? "it ended before the film did" : ending.last_words);
}

void Ffmpeg::finish() {
  const auto ending = process_.finish();
  if (!ending.is_good) fail(ending.last_words);
  std::error_code unreadable;
  if (std::filesystem::file_size(part_.part(), unreadable) == 0 || unreadable) fail("it wrote nothing");
}

std::unique_ptr<FilmEncoder> video_encoder(const FilmFile& file, const FilmFacts& facts,
                                           const std::vector<std::string>& arguments) {
  return std::make_unique<Video>(file, facts, arguments);
}

}  // namespace steplapse
