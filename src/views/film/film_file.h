#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "views/picture.h"

namespace steplapse {

/// A file that a film is written to.
struct FilmFile {
  std::filesystem::path path;          ///< its ending says the format: .mp4, .webm, .mkv, .gif, .webp, .png
  std::string codec = {};              ///< h264, vp9, av1, ffv1; "": the usual one of the ending
  std::optional<double> quality = {};  ///< of .webp, 0 to 100; none: lossless
  bool overwrite = false;
};

/// Takes the pictures of a film one by one.
class FilmEncoder {
 public:
  virtual ~FilmEncoder() = default;

  /// @param picture  of the same size as the others, both sides even
  /// @param until    when it ends, in seconds from the film's beginning; later than the one before
  virtual void add(const Picture& picture, double until) = 0;

  /// The file is there when this returns.
  virtual void finish() = 0;
};

/// Checks a film's file before any work.
/// @throws UsageError   an ending that no film has, a codec that the ending's format does not take, or a quality where none
///                      is asked for
/// @throws OutputError  it can't be written; it is there already, without `overwrite`; or ffmpeg is missing for it
void check_film(const FilmFile& file);

/// The codec that the file will have; "" where its format is its own.
std::string codec_of(const FilmFile& file);

/// What a film is made of.
struct FilmFacts {
  int64_t width, height;   ///< of its pictures
  double rate;             ///< of video: pictures a second. One that stands longer is repeated
  std::string parameters;  ///< the text that web UIs read, for the file's metadata; "": none
};

/// @throws UsageError  the pictures are too large for the format
std::unique_ptr<FilmEncoder> film_encoder(const FilmFile& file, const FilmFacts& facts);

}  // namespace steplapse
