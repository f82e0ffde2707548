#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "steplapse/noise_level.h"

namespace steplapse {

/// How a tokenizer cuts text into tokens.
enum class TokenizerKind {
  sentencepiece,  ///< the library of that name
  clip_bpe,       ///< byte-pair encoding with CLIP's vocabulary format
};
std::string_view name_of(TokenizerKind kind);

/// What the network is given for the negative prompt where the user gives none.
enum class NoNegativePrompt {
  encode_empty,  ///< the encoding of the empty text
  zeros,         ///< zeros in place of an encoding
};
std::string_view name_of(NoNegativePrompt rule);

/// model.json after its checks. docs/bundle.md has the meaning of each key.
struct Manifest {
  struct File {
    int64_t size;        ///< bytes
    std::string sha256;  ///< 64 lower-case hex digits
  };
  struct TensorSpec {
    std::string dtype;  ///< the safetensors name: F32, F16, BF16 or I64
    std::vector<int64_t> shape;
    bool operator==(const TensorSpec&) const = default;
  };
  struct Module {
    std::string program;                        ///< a key of `files`: a TorchScript archive without weights
    std::vector<std::string> weights;           ///< keys of `files`: safetensors files; each tensor is in exactly one
    std::string compute_dtype;                  ///< float32, float16 or bfloat16
    std::map<std::string, TensorSpec> tensors;  ///< of all weights together, by name
  };
  struct Tokenizer {
    TokenizerKind kind;
    std::vector<std::string> files;   ///< keys of `files`: one for sentencepiece; vocabulary and merges for clip_bpe
    int64_t length;                   ///< tokens of a chunk, bos, eos and padding included
    std::optional<int64_t> bos, eos;  ///< ids; none: the encoder takes no such token
    int64_t pad;                      ///< id
  };
  struct Size {
    int64_t width, height;  ///< pixels of the picture
    bool operator==(const Size&) const = default;
  };
  struct SizeRange {
    int64_t min, max, multiple;  ///< of each side, in pixels; both ends included
  };
  /// The settings for a run where the user names none.
  struct Defaults {
    int64_t steps;
    std::string sampler;
    double guidance_scale;
  };
  /// The root mean square of clean latents. The denoiser's x0 comes near it where sampling goes well.
  struct X0Rms {
    double value = 1;
    bool assumed = true;  ///< false where it was measured when the bundle was exported
  };
  /// What the exporter tried the bundle with.
  struct Verified {
    std::vector<int64_t> batches;
    std::vector<Size> sizes;
    std::vector<int64_t> chunks;
  };

  std::string name, source, licence;
  std::map<std::string, File> files;  ///< by path relative to the bundle's folder
  Module text_encoder, denoiser;
  std::map<std::string, Module> decoders;  ///< by name; `full` is always among them
  std::vector<Tokenizer> tokenizers;
  int64_t latent_channels;  ///< C of [1, C, h, w]
  int64_t downscale;        ///< pixels of the picture per latent, along each side
  Size default_size;
  std::variant<std::vector<Size>, SizeRange> allowed_sizes;
  int64_t max_chunks;  ///< the most chunks of `length` tokens that a prompt may have
  int64_t clip_skip;   ///< the layer of the text encoder whose output is used, counted from the last, which is 1
  NoNegativePrompt no_negative_prompt;
  TrainingNoise training_noise;
  Defaults defaults;
  Verified verified;
  std::optional<std::string> prompts;  ///< a key of `files`: the prompts that the model was taught; none: unknown
  std::optional<std::string> family;   ///< sd1, sd2, sdxl, emoji, ...; none: the bundle does not say
  X0Rms x0_rms;

  std::string sha256;  ///< of model.json, which holds all other hashes; so it identifies the whole bundle
};

/// Reads and checks model.json; opens no other file. Unknown and missing keys are errors.
/// @throws BundleError  naming the file, the key, what was found and what was expected
Manifest read_manifest(const std::filesystem::path& folder);

/// Checks that the bundle makes pictures of this size.
/// @throws UsageError  it does not; the text lists the sizes that it makes
void check_size(const Manifest& manifest, Manifest::Size size);

/// The shape [1, C, h, w] of the latents of a picture of this size.
std::vector<int64_t> latents_shape(const Manifest& manifest, Manifest::Size size);

/// Warnings about values that are allowed but probably wrong, such as those that older exporters wrote. One line each.
std::vector<std::string> warnings_about(const Manifest& manifest);

/// The manifest for people, in several lines: origin, modules and their sizes, sizes of pictures, noise, defaults.
std::string describe(const Manifest& manifest);

}  // namespace steplapse
