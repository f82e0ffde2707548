#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "steplapse/noise_level.h"

namespace steplapse {

/// What model.json says, checked: docs/bundle.md has each key and its meaning.
struct Manifest {
  struct File {
    int64_t size;
    std::string sha256;  ///< 64 lower-case hex digits
  };
  struct TensorSpec {
    std::string dtype;  ///< as safetensors spells it: F32, F16, BF16, I64
    std::vector<int64_t> shape;
    bool operator==(const TensorSpec&) const = default;
  };
  struct Module {
    std::string program;               ///< a key of `files`, as are these:
    std::vector<std::string> weights;  ///< of each tensor exactly one has it
    std::string compute_dtype;         ///< float32, float16 or bfloat16
    std::map<std::string, TensorSpec> tensors;
  };
  struct Tokenizer {
    std::string kind;  ///< sentencepiece or clip_bpe
    std::vector<std::string> files;
    int64_t length;
    std::optional<int64_t> bos, eos;
    int64_t pad;
  };
  struct Size {
    int64_t width, height;
    bool operator==(const Size&) const = default;
  };
  struct SizeRange {
    int64_t min, max, multiple;
  };
  struct Defaults {
    int64_t steps;
    std::string sampler;
    double guidance_scale;
  };
  /// The root mean square of clean latents, which the denoiser's x0 has where sampling goes well.
  struct X0Rms {
    double value = 1;
    bool assumed = true;  ///< false: measured when the bundle was exported
  };
  struct Verified {
    std::vector<int64_t> batches;
    std::vector<Size> sizes;
    std::vector<int64_t> chunks;
  };

  std::string name, source, licence;
  std::map<std::string, File> files;
  Module text_encoder, denoiser;
  std::map<std::string, Module> decoders;
  std::vector<Tokenizer> tokenizers;
  int64_t latent_channels, downscale;
  Size default_size;
  std::variant<std::vector<Size>, SizeRange> allowed_sizes;
  int64_t max_chunks;              ///< of `length` tokens each, that a prompt may have
  int64_t clip_skip;               ///< which layer of the text encoder was exported: 1 is the last
  std::string no_negative_prompt;  ///< encode_empty or zeros
  TrainingNoise training_noise;
  Defaults defaults;
  Verified verified;
  std::optional<std::string> prompts;  ///< a key of `files`
  std::optional<std::string> family;   ///< sd1, sd2, sdxl, emoji, ...
  X0Rms x0_rms;

  std::string sha256;  ///< of model.json itself: it holds all other hashes, so it stands for the whole bundle
};

/// Reads and checks model.json; opens no other file.
/// @throws BundleError  one line: file, key, found, wanted. Unknown and missing keys are errors.
Manifest read_manifest(const std::filesystem::path& folder);

/// @throws UsageError  naming the sizes there are, when the bundle does not allow this one.
void check_size(const Manifest& manifest, Manifest::Size size);

/// [1, C, h, w] of the latents of a picture of this size.
std::vector<int64_t> latents_shape(const Manifest& manifest, Manifest::Size size);

/// What is allowed but looks wrong, one line each: what older exporters wrote, for one.
std::vector<std::string> warnings_about(const Manifest& manifest);

/// The manifest for people, some lines: origin, modules and what they weigh, sizes, noise, defaults.
std::string describe(const Manifest& manifest);

}  // namespace steplapse
