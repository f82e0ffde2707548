#include "runs/run_spectrum.h"

#include <algorithm>

#include "base/aten.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

void check_at(const SpectrumOptions& options, const RunPictures& run) {
  const int64_t last = std::ssize(run.history().steps);
  for (const int64_t step : options.at) {
    if (step <= last) continue;
    throw UsageError("`at` " + std::to_string(step) + ": " + in_quotes(run.folder().string()) + " has steps 0 to " +
                     std::to_string(last) + (run.state().has_end() ? "" : "; its log ends there"));
  }
}

std::vector<StepSpectrum> spectra(RunPictures& run, FrameKind kind, const SpectrumOptions& options) {
  std::vector<StepSpectrum> spectra;
  for (const int64_t step : run.steps(kind)) {
    if (!options.at.empty() && !options.at.contains(step)) continue;
    const Tensor image = options.pictures.decoder ? luminance_of(run.picture(kind, step)) : run.latents(kind, step)[0];
    spectra.push_back({kind, step, run.level(kind, step), spectrum_of(image),
                       std::max(image.size(1), image.size(2)) / 2, rms_by_band(image)});
  }
  return spectra;
}

}  // namespace

RunSpectrum spectrum_of_run(const SpectrumOptions& options) {
  RunPictures run(options.run, options.pictures);
  check_at(options, run);
  const auto& decoder = options.pictures.decoder;
  return {.title = run.facts().prompt,
          .measured_on =
              decoder ? "the luminance (0 to 255) of pictures by the decoder " + in_quotes(*decoder) : "the latents",
          .x0 = spectra(run, FrameKind::x0, options),
          .xt = spectra(run, FrameKind::xt, options),
          .last_step = std::ssize(run.history().steps)};
}

}  // namespace steplapse
