#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runs/options.h"
#include "views/film/film_file.h"
#include "views/film/timeline.h"
#include "views/pace.h"

namespace steplapse {

enum class FilmKind { x0, xt, both, diff };
enum class FilmLabel { none, step, recipe };

struct FilmOptions {
  std::vector<std::filesystem::path> runs;  ///< one or more, which stand side by side
  FilmFile file;
  FilmKind kind = FilmKind::x0;
  Pace pace = Pace::step;
  FilmLabel label = FilmLabel::none;
  FilmTiming timing;
  int64_t between = 0;           ///< pictures of interpolated x0 between two steps
  std::optional<int64_t> scale;  ///< as FilmLayout
  std::optional<std::string> decoder;
  RunningOptions running;
  std::filesystem::path usual_model;  ///< as PictureOptions
};

/// What a film came to.
struct MadeFilm {
  int64_t pictures, width, height;
  double seconds;
  int64_t bytes;
};

/// Checks what can be checked without the runs, before any work. @throws UsageError, OutputError  as check_film
void check_film(const FilmOptions& options);

/// Makes the film of runs, finished or not, from their pictures and logs. The run with the most pictures leads; each other
/// one shows its first picture at or past the same noise.
/// @throws UsageError, OutputError  as check_film and RunPictures do
MadeFilm make_film(const FilmOptions& options);

/// "film.mp4: 20 pictures in 3 s, 256 x 256, h264, 34 kB"
std::string said_of(const MadeFilm& film, const FilmFile& file);

}  // namespace steplapse
