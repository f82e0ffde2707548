#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/manifest.h"
#include "steplapse/noise.h"
#include "steplapse/prompt_syntax.h"
#include "steplapse/schedule.h"
#include "steplapse/tensor.h"

namespace steplapse {

/// What a picture is asked for with. None of an optional means: the bundle's own, or what its comment says. The command
/// line's flags have the same names and the same defaults.
struct Settings {
  std::string prompt;  ///< UTF-8, up to 100,000 bytes; may be empty
  /// None: what the bundle says of no negative prompt (Manifest::no_negative_prompt), which may differ from "".
  std::optional<std::string> negative_prompt;
  PromptSyntax prompt_syntax = PromptSyntax::weights;
  std::optional<uint64_t> seed;  ///< 0 to 2^64 - 1; of Rng::cpu the low 32 bits count. None: a random one below 2^32
  Rng rng = Rng::cpu;            ///< which generator's numbers a seed stands for
  std::optional<int64_t> steps;  ///< 1 or more, up to the model's timesteps
  std::optional<std::string> sampler;  ///< a name of samplers(), or another tool's: "a1111:DPM++ 2M Karras"
  /// A name of schedules(), another tool's, `ays` (the list for this model's family) or `bundle` (the bundle's own
  /// spacing). None: the sampler's usual schedule, where it has one and this model allows it; else the bundle's spacing.
  std::optional<std::string> schedule;
  std::optional<double> sigma_min;  ///< smallest sigma / alpha above 0. None: the model's smallest
  std::optional<double> sigma_max;  ///< largest sigma / alpha. None: the model's largest
  std::optional<double> rho;        ///< above 0: exponent of karras (none: 7) and polyexponential (none: 1)
  std::optional<double> shift;      ///< 0.01 to 100: timestep shift of a flow model (Esser et al. 2024)
  std::optional<std::vector<double>> timesteps;  ///< the levels themselves, falling; in place of steps and schedule
  std::optional<std::vector<double>> sigmas;     ///< the same as sigma / alpha, 0 or more
  std::optional<Schedule> levels;                ///< the same, whole
  std::optional<double> eta;                     ///< 0 to 1: share of fresh noise. None: the sampler's own
  std::optional<double> s_churn;  ///< 0 or more: noise added before steps, over the run (Karras et al. 2022). None: 0
  std::optional<double> s_tmin;   ///< no churn below this sigma. None: 0
  std::optional<double> s_tmax;   ///< no churn above this sigma. None: infinity
  std::optional<double> s_noise;  ///< 0 or more: scale of all fresh noise. None: 1
  std::optional<double> guidance_scale;  ///< 0 or more; 1: no guidance, 0: the prompt is ignored
  struct Interval {
    double low, high;  ///< both ends belong to it; high may be infinite
  };
  std::optional<Interval> guidance_interval;  ///< guidance in these steps alone, from 1. None: in all
  std::optional<Interval> guidance_sigmas;    ///< guidance at these sigma / alpha alone (Kynkäänniemi et al. 2024)
  std::optional<double> guidance_rescale;     ///< 0 to 1: guidance rescale φ (Lin et al. 2023). None: 0, off
  std::optional<Manifest::Size> size;         ///< pixels; a side of 0 is the bundle's
  Tensor latents;  ///< the start: float [1, C, h, w] of unit variance. Undefined: drawn from the seed
};

uint64_t random_seed();  ///< below 2^32: what PyTorch's CPU generator can tell apart

}  // namespace steplapse
