#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runs/run_pictures.h"
#include "studies/film.h"
#include "views/film/layout.h"

namespace steplapse {

/// A run as a film shows it: a row of pictures, by step.
class FilmRun {
 public:
  /// @throws UsageError, OutputError  as RunPictures; also where it has no picture of the kind
  FilmRun(const std::filesystem::path& run, const FilmOptions& options);

  const std::vector<double>& ratios() const { return ratios_; }  ///< sigma / alpha of each picture
  std::vector<double> changes() const;  ///< rms of x0's change with each picture but the first, in latents

  /// @param place  of a picture, counted from 0; a fraction is on the way to the next one
  FilmCell cell(double place);

  std::string parameters() const;  ///< the text that web UIs read

 private:
  Picture interpolated(size_t before, double share);
  std::vector<std::string> labels(int64_t step) const;

  FilmKind kind_;
  FilmLabel label_;
  RunPictures pictures_;
  std::vector<int64_t> steps_;
  std::vector<double> ratios_;
};

}  // namespace steplapse
