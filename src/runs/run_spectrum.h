#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "runs/run_pictures.h"
#include "views/plot.h"
#include "views/spectrum.h"

namespace steplapse {

/// Of what the spectra are taken.
struct SpectrumOptions {
  std::filesystem::path run;  ///< its folder
  std::set<int64_t> at;       ///< these steps alone; empty: all
  PictureOptions pictures;    ///< with a decoder: of the luminance of pictures by it; without one: of the latents
};

/// x0 or xt of a step, by spatial frequency.
struct StepSpectrum {
  FrameKind kind;
  int64_t step;
  NoiseLevel level;  ///< as RunPictures::level
  std::vector<SpectrumRing> rings;
  int64_t finest;  ///< the highest frequency that rows and columns have; rings above it lie in corners
  std::array<double, kFrequencyBands.size()> bands;  ///< rms_by_band
};

struct RunSpectrum {
  std::string title;                 ///< the run's prompt
  std::string measured_on;           ///< for people: "the latents", "the luminance (0 to 255) of pictures by 'full'"
  std::vector<StepSpectrum> x0, xt;  ///< by step
  int64_t last_step;                 ///< of the log
};

/// @throws UsageError  a step that the run does not have; and as RunPictures
RunSpectrum spectrum_of_run(const SpectrumOptions& options);

/// In words and a table of at most this many columns.
std::string spectrum_table(const RunSpectrum& spectrum, size_t columns);
std::string spectrum_csv(const RunSpectrum& spectrum);   ///< a row for each step, kind and ring
std::string spectrum_json(const RunSpectrum& spectrum);  ///< one object

/// Plots of x0, of x0 divided by its last step, and of xt. @param all  whether each step is a line; else a few of them are
std::vector<Plot> spectrum_plots(const RunSpectrum& spectrum, bool all);

}  // namespace steplapse
