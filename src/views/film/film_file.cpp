#include "views/film/film_file.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "base/child_process.h"
#include "base/confinement.h"
#include "base/file_io.h"
#include "base/text.h"
#include "steplapse/error.h"
#include "views/film/encoders.h"

namespace steplapse {
namespace {

using Make = std::unique_ptr<FilmEncoder> (*)(const FilmFile&, const FilmFacts&);

/// A kind of file, by its ending.
struct Format {
  std::string_view ending;
  std::string_view muxer;                // ffmpeg's name of it; "": made without ffmpeg
  std::vector<std::string_view> codecs;  // the usual one first; none: the format is its own
  int64_t largest_side;                  // pixels
  Make make;                             // none: video
};

const std::vector<Format>& formats() {
  static const std::vector<Format> all{{".mp4", "mp4", {"h264", "av1"}, 8192, nullptr},
                                       {".webm", "webm", {"vp9", "av1"}, 8192, nullptr},
                                       {".mkv", "matroska", {"ffv1", "av1"}, 8192, nullptr},
                                       {".gif", "gif", {}, 16384, gif_encoder},
                                       {".webp", "", {}, 16383, webp_encoder},
                                       {".png", "", {}, 32767, apng_encoder}};
  return all;
}

const Format& format_of(const FilmFile& file) {
  const std::string ending = lower_case(file.path.extension().string());
  for (const Format& format : formats()) {
    if (format.ending == ending) return format;
  }
  std::string known;
  for (const Format& format : formats()) known += (known.empty() ? "" : ", ") + std::string(format.ending);
  throw UsageError(in_quotes(file.path.string()) + ": expected a film's ending, one of " + known);
}

bool takes(const Format& format, const std::string& codec) {
  return std::find(format.codecs.begin(), format.codecs.end(), codec) != format.codecs.end();
}

/// The endings that a codec may have: ".mp4", ".mp4, .webm or .mkv".
std::string endings_of(const std::string& codec) {
  std::vector<std::string> endings;
  for (const Format& format : formats()) {
    if (takes(format, codec)) endings.emplace_back(format.ending);
  }
  if (endings.size() < 2) return joined(endings, "");
  const std::string last = endings.back();
  endings.pop_back();
  return joined(endings, ", ") + " or " + last;
}

void check_codec(const FilmFile& file, const Format& format) {
  if (file.codec.empty() || takes(format, file.codec)) return;
  throw UsageError(in_quotes(file.path.string()) + ": `codec` " + file.codec + " wants a name that ends in " +
                   endings_of(file.codec));
}

/// How ffmpeg is told to encode. docs/films.md has what each codec's figures give.
std::vector<std::string> arguments_of(const std::string& codec) {
  if (codec == "h264") return {"-c:v", "libx264", "-crf", "17"};
  if (codec == "vp9") return {"-c:v", "libvpx-vp9", "-crf", "22", "-b:v", "0", "-row-mt", "1", "-cpu-used", "2"};
  if (codec == "av1") return {"-c:v", "libaom-av1", "-crf", "22", "-b:v", "0", "-row-mt", "1", "-cpu-used", "6"};
  return {"-c:v", "ffv1", "-level", "3", "-pix_fmt", "bgr0"};
}

/// Colours as players show them: most decode untagged video, or that of more than 4:2:0, wrongly or not at all.
std::vector<std::string> colours_of_players() {
  return {"-vf",
          "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p",
          "-colorspace",
          "bt709",
          "-color_primaries",
          "bt709",
          "-color_trc",
          "iec61966-2-1",
          "-color_range",
          "tv"};
}

std::vector<std::string> video_arguments(const Format& format, const std::string& codec) {
  std::vector<std::string> arguments = arguments_of(codec);
  if (codec != "ffv1") {
    for (std::string& word : colours_of_players()) arguments.push_back(std::move(word));
  }
  if (format.ending == ".mp4") arguments.insert(arguments.end(), {"-movflags", "+faststart"});
  arguments.insert(arguments.end(), {"-f", std::string(format.muxer)});
  return arguments;
}

}  // namespace

std::string codec_of(const FilmFile& file) {
  const Format& format = format_of(file);
  if (!file.codec.empty() || format.codecs.empty()) return file.codec;
  return std::string(format.codecs.front());
}

void check_film(const FilmFile& file) {
  const Format& format = format_of(file);
  check_codec(file, format);
  if (file.quality && format.ending != ".webp")
    throw UsageError("`quality`: is for .webp alone, where lossless is the other choice; leave it out");
  const auto ffmpeg = format.muxer.empty() ? std::nullopt : program_on_path("ffmpeg");
  if (ffmpeg) confinement_starts(*ffmpeg);
  if (!format.muxer.empty() && !ffmpeg)
    throw OutputError(in_quotes(file.path.string()) +
                      ": is made by ffmpeg, which is not on the PATH; install it, or name a " +
                      ".webp or .png, which are made without");
  check_writable(file.path, file.overwrite);
}

std::unique_ptr<FilmEncoder> film_encoder(const FilmFile& file, const FilmFacts& facts) {
  const Format& format = format_of(file);
  if (std::max(facts.width, facts.height) > format.largest_side)
    throw UsageError(in_quotes(file.path.string()) + ": would be " + std::to_string(facts.width) + " x " +
                     std::to_string(facts.height) + " pixels, " + std::string(format.ending) + " has at most " +
                     std::to_string(format.largest_side) + " a side; lower `scale`, or name fewer runs");
  if (format.make) return format.make(file, facts);
  return video_encoder(file, facts, video_arguments(format, codec_of(file)));
}

}  // namespace steplapse
