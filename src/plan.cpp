#include "steplapse/plan.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <random>
#include <sstream>

#include "shape_text.h"
#include "steplapse/error.h"
#include "steplapse/text.h"
#include "steplapse/tokenizer.h"

namespace steplapse {
namespace {

constexpr size_t kLongestPrompt = 100'000;  // bytes; far beyond any tokenizer's window

std::string checked_prompt(const std::string& flag, const std::string& text) {
  if (text.size() > kLongestPrompt) {
    throw UsageError(flag + ": " + std::to_string(text.size()) + " bytes, at most " + std::to_string(kLongestPrompt) +
                     " wanted");
  }
  if (!is_utf8(text)) throw UsageError(flag + ": not valid UTF-8");
  if (text.find('\0') != std::string::npos) throw UsageError(flag + ": holds a NUL character, which no picture's text can");
  return nfc(text);
}

Schedule planned_schedule(const TrainingNoise& noise, Spacing spacing, int64_t steps, std::vector<std::string>& warnings) {
  try {
    Schedule schedule = make_schedule(noise, spacing, steps);
    check_levels(schedule);
    const double first = schedule.levels.front().timestep.value();
    if (first < static_cast<double>(noise.alphas_cumprod.size()) / 2) {
      std::ostringstream text;
      text << "--schedule " << name_of(spacing) << " with " << steps << " step" << (steps == 1 ? "" : "s")
           << " starts at timestep " << first << " of " << noise.alphas_cumprod.size()
           << ", where the network expects little noise; --schedule trailing starts at the noisiest";
      warnings.push_back(text.str());
    }
    return schedule;
  } catch (const std::invalid_argument& error) {
    throw UsageError("--steps " + std::to_string(steps) + ": " + error.what());
  }
}

Tensor checked_latents(const Tensor& latents, const std::vector<int64_t>& wanted) {
  if (latents.sizes() != at::IntArrayRef(wanted)) {
    throw UsageError("--latents: 'latents' is " + shape_text(latents.sizes()) + ", this model and size want " +
                     shape_text(wanted));
  }
  // A copy: what was read may be a mapping of the user's file.
  const Tensor numbers = latents.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  if (!at::isfinite(numbers).all().item<bool>()) throw UsageError("--latents: 'latents' holds numbers that are not finite");
  return numbers;
}

uint64_t random_seed() { return std::random_device{}(); }  // 32 bits: what diffusers' CPU generator can tell apart

void check_guidance(double scale) {
  if (!std::isfinite(scale) || scale < 0) {
    std::ostringstream text;
    text << "--guidance-scale " << scale << ": wanted a number of 0 or more";
    throw UsageError(text.str());
  }
}

Recipe make_recipe(const Manifest& manifest, const Settings& settings, const Plan& plan, Schedule schedule) {
  Recipe recipe;
  recipe.sampler = settings.sampler.value_or(manifest.defaults.sampler);
  try {
    sampler_named(recipe.sampler);
  } catch (const std::invalid_argument& error) {
    throw UsageError(error.what());
  }
  if (!(settings.eta >= 0 && settings.eta <= 1)) throw UsageError("--eta: wanted a number from 0 to 1");
  recipe.options = {.eta = settings.eta, .clip_sample_range = manifest.training_noise.clip_sample_range};
  recipe.schedule = std::move(schedule);
  recipe.prediction_type = manifest.training_noise.prediction_type;
  recipe.guidance_scale = settings.guidance_scale.value_or(manifest.defaults.guidance_scale);
  check_guidance(recipe.guidance_scale);
  recipe.rng = settings.rng;
  recipe.seed = settings.seed.value_or(random_seed());

  const std::vector<int64_t> shape{1, manifest.latent_channels, plan.size.height / manifest.downscale,
                                   plan.size.width / manifest.downscale};
  recipe.init_noise_given = settings.latents.defined();
  recipe.init_noise = recipe.init_noise_given ? checked_latents(settings.latents, shape)
                                              : Noise(recipe.rng, recipe.seed).draw(shape);
  return recipe;
}

constexpr const char *kPrompt = "PROMPT", *kNegativePrompt = "--negative-prompt";

void add(std::vector<std::string>& warnings, std::vector<std::string> more) {
  warnings.insert(warnings.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::string chunks_text(const Manifest::Tokenizer& spec, int64_t max_chunks) {
  return std::to_string(max_chunks) + (max_chunks == 1 ? " chunk of " : " chunks of ") + std::to_string(spec.length) +
         " tokens";
}

/// Several tokenizers may have the same to say.
void add_once(std::vector<std::string>& warnings, const std::string& warning) {
  if (std::find(warnings.begin(), warnings.end(), warning) == warnings.end()) warnings.push_back(warning);
}

/// One prompt for every tokenizer.
std::vector<std::vector<Chunk>> tokenized(const std::vector<Tokenizer>& tokenizers, int64_t max_chunks,
                                          const std::string& what, const ParsedPrompt& prompt,
                                          std::vector<std::string>& warnings) {
  std::vector<std::vector<Chunk>> all;
  for (const Tokenizer& tokenizer : tokenizers) {
    ChunkedPrompt chunks = chunked(tokenizer, prompt.parts, max_chunks);
    const std::string room = chunks_text(tokenizer.spec(), max_chunks);
    if (chunks.passed_break) {
      add_once(warnings, "the " + what + " has a BREAK beyond the model's " + room +
                             "; the words after it go on in the last");
    }
    if (!chunks.cut.empty()) {
      add_once(warnings, "the " + what + " is longer than the model's " +
                             (max_chunks == 1 ? std::to_string(tokenizer.spec().length) + " tokens" : room) +
                             "; left out: " + in_quotes(chunks.cut));
    }
    all.push_back(std::move(chunks.chunks));
  }
  return all;
}

/// All to the length of the longest, so that they go through the network together.
void pad_with_empty_chunks(TokenizedPrompts& prompts) {
  size_t most = 0;
  for (const auto* branch : {&prompts.prompt, &prompts.negative}) {
    for (const auto& chunks : *branch) most = std::max(most, chunks.size());
  }
  for (auto* branch : {&prompts.prompt, &prompts.negative}) {
    for (auto& chunks : *branch) chunks.resize(most);
  }
}

std::vector<Tensor> encoded(const Bundle& bundle, const std::vector<std::vector<Chunk>>& prompt) {
  const std::vector<Manifest::Tokenizer>& specs = bundle.manifest().tokenizers;
  std::vector<Tensor> ids, weights;
  for (size_t i = 0; i < specs.size(); ++i) {
    ids.push_back(ids_tensor(specs[i], prompt.at(i)));
    weights.push_back(weights_tensor(specs[i], prompt.at(i)));
  }
  return bundle.encode_text(ids, weights);
}

}  // namespace

Plan make_plan(const Manifest& manifest, const Settings& settings) {
  Plan plan;
  plan.prompt_syntax = settings.prompt_syntax;
  plan.prompt = checked_prompt(kPrompt, settings.prompt);
  add(plan.warnings, parse_syntax(plan.prompt, plan.prompt_syntax, kPrompt).warnings);
  if (settings.negative_prompt) {
    plan.negative_prompt = checked_prompt(kNegativePrompt, *settings.negative_prompt);
    add(plan.warnings, parse_syntax(*plan.negative_prompt, plan.prompt_syntax, kNegativePrompt).warnings);
  }
  plan.size = settings.size.value_or(manifest.default_size);
  check_size(manifest, plan.size);
  plan.spacing = settings.schedule.value_or(manifest.training_noise.timestep_spacing);
  Schedule schedule = planned_schedule(manifest.training_noise, plan.spacing,
                                       settings.steps.value_or(manifest.defaults.steps), plan.warnings);
  plan.recipe = make_recipe(manifest, settings, plan, std::move(schedule));
  if (plan.recipe.rng == Rng::cpu && plan.recipe.seed > 0xffffffff) {
    plan.warnings.push_back("seed " + std::to_string(plan.recipe.seed) + " is beyond 32 bits: the cpu generator uses its low 32, " +
                            std::to_string(plan.recipe.seed & 0xffffffff));
  }
  return plan;
}

std::string words_of(const Plan& plan) { return text_of(parse_syntax(plan.prompt, plan.prompt_syntax, kPrompt).parts); }

TokenizedPrompts tokenize_prompts(const Manifest& manifest, const std::vector<Tokenizer>& tokenizers,
                                  const Plan& plan) {
  TokenizedPrompts prompts;
  const ParsedPrompt prompt = parse_syntax(plan.prompt, plan.prompt_syntax, kPrompt);
  prompts.prompt = tokenized(tokenizers, manifest.max_chunks, "prompt", prompt, prompts.warnings);
  const bool zeros = !plan.negative_prompt && manifest.no_negative_prompt == "zeros";
  if (plan.recipe.guidance_scale > 1 && !zeros) {
    const ParsedPrompt negative =
        parse_syntax(plan.negative_prompt.value_or(""), plan.prompt_syntax, kNegativePrompt);
    prompts.negative = tokenized(tokenizers, manifest.max_chunks, "negative prompt", negative, prompts.warnings);
  }
  pad_with_empty_chunks(prompts);
  return prompts;
}

EncodedPrompts encode_prompts(const Bundle& bundle, const Plan& plan) {
  const std::vector<Tokenizer> tokenizers = tokenizers_of(bundle.folder(), bundle.manifest());
  TokenizedPrompts prompts = tokenize_prompts(bundle.manifest(), tokenizers, plan);

  Guidance guidance{.cond = encoded(bundle, prompts.prompt), .uncond = {}, .scale = plan.recipe.guidance_scale};
  if (!prompts.negative.empty()) {
    guidance.uncond = encoded(bundle, prompts.negative);
  } else if (guidance.asks_uncond()) {
    for (const Tensor& cond : guidance.cond) guidance.uncond.push_back(at::zeros_like(cond));
  }
  return {std::move(guidance), std::move(prompts.warnings)};
}

Trajectory start(const Recipe& recipe) {
  Noise noise(recipe.rng, recipe.seed);
  if (!recipe.init_noise_given) noise.like(recipe.init_noise);  // the start was the stream's first draw
  return sampler_named(recipe.sampler)
      .start(recipe.init_noise * recipe.schedule.init_scale, recipe.schedule, recipe.options, noise);
}

}  // namespace steplapse
