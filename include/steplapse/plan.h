#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/bundle.h"
#include "steplapse/chunks.h"
#include "steplapse/engine.h"
#include "steplapse/noise.h"
#include "steplapse/prompt_syntax.h"
#include "steplapse/prompts.h"
#include "steplapse/sampler.h"
#include "steplapse/schedule.h"

namespace steplapse {

/// What the user asks for. What is not said, the bundle's defaults settle.
struct Settings {
  std::string prompt;
  std::optional<std::string> negative_prompt;  ///< none is not the same as "": see Manifest::no_negative_prompt
  PromptSyntax prompt_syntax = PromptSyntax::weights;
  std::optional<uint64_t> seed;                ///< none: a random one below 2^32
  Rng rng = Rng::cpu;
  std::optional<int64_t> steps;
  std::optional<std::string> sampler;                   ///< of samplers(), or another tool's: a1111:DPM++ 2M Karras
  /// Of schedules(), another tool's, ays (the list for this model), or bundle (its own spacing); none: the sampler's usual
  /// levels, where it has some and this model allows them, else the bundle's.
  std::optional<std::string> schedule;
  std::optional<double> sigma_min, sigma_max, rho;      ///< of the schedule
  std::optional<double> shift;                          ///< of a flow model's levels
  std::optional<std::vector<double>> timesteps, sigmas; ///< the levels themselves, in place of steps and schedule; so is
  std::optional<Schedule> levels;
  std::optional<double> eta, s_churn, s_tmin, s_tmax, s_noise;  ///< none: the sampler's own
  std::optional<double> guidance_scale;
  /// Guidance only in these steps, or at these sigmas (sigma / alpha); none: in all.
  struct Interval {
    double low, high;
  };
  std::optional<Interval> guidance_interval, guidance_sigmas;
  std::optional<double> guidance_rescale;
  std::optional<Manifest::Size> size;  ///< a side of 0 is the bundle's
  Tensor latents;  ///< the start, unit-variance noise [1, C, h, w]; undefined: drawn from the seed
};

/// All that fixes a trajectory but the network's answers: what a log keeps so that a run can be made again.
struct Recipe {
  std::string sampler;
  SamplerOptions options;
  Schedule schedule;
  PredictionType prediction_type = PredictionType::epsilon;
  GuidanceRule guidance;
  Rng rng = Rng::cpu;
  uint64_t seed = 0;
  Tensor init_noise;             ///< [1, C, h, w], unit variance
  bool init_noise_given = false; ///< by the user: then the seed's stream has not been drawn from
};

/// The settings with every choice made.
struct Plan {
  std::string prompt;  ///< NFC, as it was written
  std::optional<std::string> negative_prompt;
  PromptSyntax prompt_syntax = PromptSyntax::weights;
  Manifest::Size size;
  std::string schedule;                     ///< of schedules(); or timesteps, sigmas, levels: the user's own
  std::optional<double> sigma_min, sigma_max, rho;  ///< of the schedule, where the user chose them
  std::optional<double> shift;                      ///< of a flow model
  Recipe recipe;
  std::vector<std::string> warnings;

  /// The user's, without a schedule.
  bool own_levels() const { return schedule == "timesteps" || schedule == "sigmas" || schedule == "levels"; }
  int64_t steps() const { return recipe.schedule.steps(); }  ///< as asked for; of some samplers it says how often they ask
  bool usual_levels = false;  ///< the schedule is the sampler's own, for nobody named one
  std::optional<int64_t> made_steps = {};  ///< that the sampler makes of them; none: it decides on its way
};

uint64_t random_seed();  ///< below 2^32: what diffusers' CPU generator can tell apart

/// Settles what the settings leave open and checks the rest. Opens no file of the bundle.
/// @throws UsageError  one line: the flag, what was found, what was wanted.
Plan make_plan(const Manifest& manifest, const Settings& settings);

/// Of the prompt and of the negative prompt (where the network is asked about it), as unknown_warning() has it.
std::vector<std::string> unknown_warnings(const std::vector<TaughtPrompt>& taught, const Plan& plan);

/// Both branches as the tokenizers cut them: all tokenizers of both have as many chunks, the last ones perhaps empty.
struct TokenizedPrompts {
  std::vector<std::vector<Chunk>> prompt;    ///< one per tokenizer
  std::vector<std::vector<Chunk>> negative;  ///< none where the network is not asked, or gets zeros
  std::vector<std::string> warnings;         ///< about words that the network does not get
};
TokenizedPrompts tokenize_prompts(const Manifest& manifest, const std::vector<Tokenizer>& tokenizers, const Plan& plan);

/// The text as the network gets it, for both branches, and warnings about what it did not get.
struct EncodedPrompts {
  Guidance guidance;
  std::vector<std::string> warnings;
};
EncodedPrompts encode_prompts(const Bundle& bundle, const Plan& plan);

/// The recipe's sampler, at its start.
Trajectory start(const Recipe& recipe);

}  // namespace steplapse
