#include "steplapse/plan.h"

#include <ATen/ATen.h>

#include <cmath>
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
  recipe.options = {settings.eta, manifest.training_noise.clip_sample_range};
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

/// ids and weights of one prompt for every tokenizer, each [1, 1, L].
struct Encodable {
  std::vector<Tensor> ids, weights;
};

/// [bos] pieces... [eos] pad..., and the end of the prompt that did not fit.
struct Window {
  std::vector<int64_t> ids;
  std::string cut;
};

Window window_of(const Tokenizer& tokenizer, std::string_view prompt) {
  const Manifest::Tokenizer& spec = tokenizer.spec();
  Window window;
  if (spec.bos) window.ids.push_back(*spec.bos);
  for (const Piece& piece : tokenizer.pieces(prompt)) {
    if (static_cast<int64_t>(window.ids.size()) + spec.eos.has_value() == spec.length) {
      window.cut = prompt.substr(std::min(prompt.find_first_not_of(" \t\r\n", piece.begin), prompt.size()));
      break;
    }
    window.ids.push_back(piece.id);
  }
  if (spec.eos) window.ids.push_back(*spec.eos);
  window.ids.resize(static_cast<size_t>(spec.length), spec.pad);
  return window;
}

Encodable tokenized(const std::vector<Tokenizer>& tokenizers, const std::string& what, const std::string& prompt,
                    std::vector<std::string>& warnings) {
  Encodable input;
  for (const Tokenizer& tokenizer : tokenizers) {
    const Window tokens = window_of(tokenizer, prompt);
    const auto length = static_cast<int64_t>(tokens.ids.size());
    input.ids.push_back(at::tensor(tokens.ids, at::kLong).view({1, 1, length}));
    input.weights.push_back(at::ones({1, 1, length}));
    if (!tokens.cut.empty()) {
      warnings.push_back("the " + what + " is longer than the model's " + std::to_string(length) +
                         " tokens; left out: " + in_quotes(tokens.cut));
    }
  }
  return input;
}

}  // namespace

Plan make_plan(const Manifest& manifest, const Settings& settings) {
  Plan plan;
  plan.prompt = checked_prompt("PROMPT", settings.prompt);
  if (settings.negative_prompt) plan.negative_prompt = checked_prompt("--negative-prompt", *settings.negative_prompt);
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

EncodedPrompts encode_prompts(const Bundle& bundle, const Plan& plan) {
  std::vector<Tokenizer> tokenizers;
  for (const auto& spec : bundle.manifest().tokenizers) {
    tokenizers.push_back(tokenizer_of(bundle, spec));
  }
  EncodedPrompts encoded;
  encoded.guidance.scale = plan.recipe.guidance_scale;
  const Encodable prompt = tokenized(tokenizers, "prompt", plan.prompt, encoded.warnings);
  encoded.guidance.cond = bundle.encode_text(prompt.ids, prompt.weights);
  if (!encoded.guidance.asks_uncond()) return encoded;

  if (!plan.negative_prompt && bundle.manifest().no_negative_prompt == "zeros") {
    for (const Tensor& cond : encoded.guidance.cond) encoded.guidance.uncond.push_back(at::zeros_like(cond));
    return encoded;
  }
  const Encodable negative =
      tokenized(tokenizers, "negative prompt", plan.negative_prompt.value_or(""), encoded.warnings);
  encoded.guidance.uncond = bundle.encode_text(negative.ids, negative.weights);
  return encoded;
}

Trajectory start(const Recipe& recipe) {
  Noise noise(recipe.rng, recipe.seed);
  if (!recipe.init_noise_given) noise.like(recipe.init_noise);  // the start was the stream's first draw
  return sampler_named(recipe.sampler)
      .start(recipe.init_noise * recipe.schedule.init_scale, recipe.schedule, recipe.options, noise);
}

}  // namespace steplapse
