#include <cmath>

#include "base/safetensors.h"
#include "base/text.h"
#include "cli/binder.h"
#include "cli/flag_values.h"
#include "cli/flags.h"
#include "runs/stop_when_converged.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

Tensor latents_in(const std::string& flag, const std::string& path) {
  try {
    const auto tensors = read_safetensors(path);
    const auto found = tensors.find("latents");
    if (found != tensors.end()) return found->second;
  } catch (const SafetensorsError& error) {
    throw UsageError(flag + ": " + error.what());
  }
  throw UsageError(flag + ": " + path + ": no tensor 'latents' in it");
}

}  // namespace

void add_sampling_flags(CLI::App& command, const std::string& group, Settings& settings, Readers& readers) {
  Binder bind(command, group, readers);
  add_level_flags(command, group, settings, readers);
  add_guidance_scale(command, group, settings, readers);
  bind("--guidance-interval", "A..B", "Guidance in these steps alone; the others cost half", settings.guidance_interval,
       step_interval_of);
  bind("--guidance-sigmas", "LOW..HIGH", "Guidance at these sigmas alone (Kynkäänniemi et al. 2024)",
       settings.guidance_sigmas, sigma_interval_of);
  bind("--guidance-rescale", "X", "Against overexposure, 0 to 1 (Lin et al. 2023)", settings.guidance_rescale,
       number(0, 1));
  bind("--eta", "X", "Share of fresh noise: 0 deterministic, 1 full", settings.eta, number(0, 1));
  bind("--s-churn", "X", "Noise added before steps, over the run (Karras et al. 2022)", settings.s_churn,
       number(0, INFINITY));
  bind("--s-tmin", "X", "No churn below this sigma", settings.s_tmin, number(0, INFINITY));
  bind("--s-tmax", "X", "No churn above this sigma", settings.s_tmax, number(0, INFINITY));
  bind("--s-noise", "X", "Scale of all fresh noise", settings.s_noise, number(0, INFINITY));
  add_rng(command, group, settings, readers);
  bind("--latents", "FILE", "Start from the noise in this safetensors file, tensor 'latents'", settings.latents,
       latents_in);
}

void add_decoder(CLI::App& command, const std::string& group, std::string& decoder, Readers& readers) {
  Binder(command, group, readers)("--decoder", "NAME", "Which of the bundle's decoders makes the frames", decoder,
                                  as_it_is)
      ->default_str("full");
}

void add_stop_flags(CLI::App& command, const std::string& group, std::optional<int64_t>& stop_at,
                    std::optional<double>& stop_when_converged, std::optional<double>& would_stop, Readers& readers) {
  Binder bind(command, group, readers);
  bind("--stop-at", "K", "End after step K: its x0 is the final picture", stop_at, integer(1));
  const std::string usual = plain(StopWhenConverged::kUsualThreshold);
  bind("--stop-when-converged", "X", "End where x0 has settled: it changed less than this share for 3 steps",
       stop_when_converged, number(0, INFINITY))
      ->expected(0, 1)
      ->default_str(usual);
  bind("--would-stop", "X", "Make all steps, and say where the flag above would have ended and what that changes",
       would_stop, number(0, INFINITY))
      ->expected(0, 1)
      ->default_str(usual);
}

}  // namespace steplapse
