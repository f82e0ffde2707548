#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "steplapse/manifest.h"
#include "steplapse/tensor.h"

namespace steplapse {

class BundleFolder;

/// A loaded model. All tensors that go in and out are float32 or int64 on the CPU, whatever device and dtype the model
/// computes with. No function may run twice at once; different functions (and decoders) may run on different threads.
///
/// Each function throws Error (MemoryError for a failed allocation) where the network fails; the text names the module.
class Bundle {
 public:
  const Manifest& manifest() const;
  const BundleFolder& folder() const;  ///< the bundle on disk; for the library itself
  std::string device() const;          ///< the device it runs on: cpu, cuda:0
  /// The seconds that loading took, hashing included, by `text_encoder`, `denoiser` and `decoders`.
  const std::map<std::string, double>& load_seconds() const;

  /// Encodes N prompts of K chunks of L tokens.
  /// @param ids      int64 [N, K, L], one tensor per tokenizer
  /// @param weights  float32 [N, K, L], one tensor per tokenizer
  /// @return the conditioning tensors, float32, each [N, ...]
  std::vector<Tensor> encode_text(const std::vector<Tensor>& ids, const std::vector<Tensor>& weights) const;

  /// The denoiser's prediction, float32 [N, C, h, w], of manifest().training_noise.prediction_type.
  /// @param latents       float32 [N, C, h, w]
  /// @param timesteps     float32 [N]
  /// @param conditioning  what encode_text gives; each [N, ...]
  Tensor denoise(const Tensor& latents, const Tensor& timesteps, const std::vector<Tensor>& conditioning) const;

  /// The images of latents [N, C, h, w]: [N, 3, H, W] in [-1, 1], not clamped.
  /// @param decoder  a key of manifest().decoders
  /// @throws std::invalid_argument  this decoder was not loaded
  Tensor decode(const std::string& decoder, const Tensor& latents) const;

  Bundle(Bundle&&) noexcept;
  Bundle& operator=(Bundle&&) noexcept;
  ~Bundle();

 private:
  friend class BundleLoader;
  struct Loaded;
  explicit Bundle(std::unique_ptr<Loaded> loaded);
  std::unique_ptr<Loaded> loaded_;
};

/// Loads a bundle after all the checks of docs/bundle.md, in the order given there. It sets libtorch's graph executor
/// for the whole process: no profiling runs and no fusion, so that the first call answers as the others do.
///
/// @param device    `auto` (CUDA where there is a GPU, else the CPU), `cpu`, `cuda`, `cuda:1`
/// @param decoders  the decoders to load beside `full`
/// @throws BundleError  a check failed; the text names the file. Nothing of the bundle has run before its check.
/// @throws UsageError   the bundle lacks a decoder, or the device does not exist; the text lists the choices
/// @throws MemoryError  the weights do not fit into memory
Bundle load_bundle(const std::filesystem::path& folder, const std::string& device = "cpu",
                   const std::vector<std::string>& decoders = {});

/// Checks a bundle as load_bundle does, then runs each module at batch 1, 2 and 3: shapes and dtypes must be those of
/// docs/bundle.md, and a row must not depend on the others in its batch. On the CPU.
/// @param report  called with each check that passed; may be empty
/// @return one line for each fault; empty: none
std::vector<std::string> verify_bundle(const std::filesystem::path& folder,
                                       const std::function<void(const std::string&)>& report);

/// The version of the libtorch that this program is linked to: 2.13.0.
std::string libtorch_version();

}  // namespace steplapse
