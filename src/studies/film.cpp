#include "studies/film.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/text.h"
#include "steplapse/error.h"
#include "studies/film_run.h"
#include "views/canvas.h"

namespace steplapse {
namespace {

constexpr double kFineRate = 50;  // of video whose pictures do not all stand equally long

std::vector<std::unique_ptr<FilmRun>> runs_of(const FilmOptions& options) {
  std::vector<std::unique_ptr<FilmRun>> runs;
  for (const auto& run : options.runs) runs.push_back(std::make_unique<FilmRun>(run, options));
  return runs;
}

const FilmRun& leading(const std::vector<std::unique_ptr<FilmRun>>& runs) {
  return **std::max_element(runs.begin(), runs.end(),
                            [](const auto& a, const auto& b) { return a->ratios().size() < b->ratios().size(); });
}

/// Of each picture of the film, which of a run's pictures it shows; a fraction lies between two of them.
std::vector<double> places_of(const FilmRun& run, const FilmRun& leading, int64_t between) {
  const std::vector<size_t> own = aligned(leading.ratios(), run.ratios());
  std::vector<double> places;
  for (size_t i = 0; i < own.size(); ++i) {
    const double here = static_cast<double>(own[i]);
    places.push_back(here);
    if (i + 1 == own.size()) break;
    const double way = static_cast<double>(own[i + 1]) - here;
    for (int64_t part = 1; part <= between; ++part)
      places.push_back(here + way * static_cast<double>(part) / static_cast<double>(between + 1));
  }
  return places;
}

std::vector<double> ends_for(const FilmRun& leading, const FilmOptions& options) {
  std::vector<double> shares(leading.ratios().size(), 1);
  if (options.pace == Pace::sigma) shares = shares_by_sigma(leading.ratios());
  if (options.pace == Pace::change) shares = shares_by_change(leading.changes());
  return ends_of(shares_with_between(shares, options.between), options.timing);
}

double rate_of(const FilmOptions& options) {
  const bool is_even = options.pace == Pace::step && !options.timing.duration;
  return is_even ? options.timing.fps : std::max(kFineRate, options.timing.fps);
}

std::string parameters_of(const std::vector<std::unique_ptr<FilmRun>>& runs) {
  std::vector<std::string> texts;
  for (const auto& run : runs) texts.push_back(run->parameters());
  return joined(texts, "\n\n");
}

std::string size_text(int64_t bytes) {
  const auto kilobytes = static_cast<double>(bytes) / 1000;
  char text[32];
  std::snprintf(text, sizeof text, kilobytes < 1000 ? "%.0f kB" : "%.1f MB",
                kilobytes < 1000 ? kilobytes : kilobytes / 1000);
  return text;
}

}  // namespace

void check_film(const FilmOptions& options) {
  if (options.between > 0 && (options.kind == FilmKind::xt || options.kind == FilmKind::diff))
    throw UsageError("`between`: x0 alone can be interpolated; take `kind` x0 or both, or leave it out");
  ends_of({1}, options.timing);
  if (options.label != FilmLabel::none) check_fonts();
  check_film(options.file);
}

MadeFilm make_film(const FilmOptions& options) {
  check_film(options);
  const auto runs = runs_of(options);
  std::vector<std::vector<double>> places;
  for (const auto& run : runs) places.push_back(places_of(*run, leading(runs), options.between));
  const std::vector<double> ends = ends_for(leading(runs), options);
  const auto cells_at = [&](size_t i) {
    std::vector<FilmCell> cells;
    for (size_t run = 0; run < runs.size(); ++run) cells.push_back(runs[run]->cell(places[run][i]));
    return cells;
  };

  const FilmLayout layout(cells_at(0), options.scale);
  const auto encoder =
      film_encoder(options.file, {layout.width(), layout.height(), rate_of(options), parameters_of(runs)});
  for (size_t i = 0; i < ends.size(); ++i) encoder->add(layout.picture(cells_at(i)), ends[i]);
  encoder->finish();
  return {std::ssize(ends), layout.width(), layout.height(), ends.back(),
          static_cast<int64_t>(std::filesystem::file_size(options.file.path))};
}

std::string said_of(const MadeFilm& film, const FilmFile& file) {
  const std::string codec = codec_of(file);
  return escaped(file.path.string(), std::string::npos) + ": " + counted(film.pictures, "picture") + " in " +
         plain(std::round(film.seconds * 100) / 100) + " s, " + std::to_string(film.width) + " x " +
         std::to_string(film.height) + (codec.empty() ? "" : ", " + codec) + ", " + size_text(film.bytes);
}

}  // namespace steplapse
