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

/// A model, loaded and ready. All tensors that go in and out are float32 or int64 on the CPU, whatever the device and
/// the weights are. Not thread-safe per module, but different modules may be used from different threads.
class Bundle {
 public:
  const Manifest& manifest() const;
  const BundleFolder& folder() const;  ///< for the library itself
  std::string device() const;          ///< where it runs: cpu, cuda:0
  /// How long loading took: `text_encoder`, `denoiser`, `decoders`; hashing included.
  const std::map<std::string, double>& load_seconds() const;

  /// @param ids      int64 [N, K, L], one per tokenizer
  /// @param weights  float32 [N, K, L], one per tokenizer
  /// @return the conditioning tensors, each [N, ...]
  std::vector<Tensor> encode_text(const std::vector<Tensor>& ids, const std::vector<Tensor>& weights) const;

  /// latents [N, C, h, w], timesteps [N] -> [N, C, h, w]
  Tensor denoise(const Tensor& latents, const Tensor& timesteps, const std::vector<Tensor>& conditioning) const;

  /// latents [N, C, h, w] -> images [N, 3, H, W] in [-1, 1] (not clamped). `decoder` is a key of manifest().decoders.
  Tensor decode(const std::string& decoder, const Tensor& latents) const;

  Bundle(Bundle&&) noexcept;
  Bundle& operator=(Bundle&&) noexcept;
  ~Bundle();

 private:
  friend Bundle load_bundle(BundleFolder, const std::string&, const std::vector<std::string>&);
  struct Loaded;
  explicit Bundle(std::unique_ptr<Loaded> loaded);
  std::unique_ptr<Loaded> loaded_;
};

/// Loads a bundle after all the checks of docs/bundle.md, in that order. Sets libtorch's graph executor for the whole
/// process: no profiling runs, no fusion, so that the first call answers as the others do.
///
/// @param device    `auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:1`
/// @param decoders  which of the bundle's decoders to load; `full` always is
/// @throws BundleError  what was refused and why; nothing of the bundle has run before it passed.
/// @throws UsageError   a decoder the bundle lacks, naming those it has; a device that is not there.
/// @throws MemoryError  weights that do not fit.
Bundle load_bundle(const std::filesystem::path& folder, const std::string& device = "cpu",
                   const std::vector<std::string>& decoders = {});

/// Everything wrong with a bundle, one line each (empty: sound). Beside the checks of load_bundle, a forward pass of
/// each module at batch 1, 2 and 3: shapes and dtypes as docs/bundle.md says, and rows that do not depend on the batch.
/// @param report  is told each check as it passes, for people who watch; may be empty
std::vector<std::string> verify_bundle(const std::filesystem::path& folder,
                                       const std::function<void(const std::string&)>& report);

/// The version of the libtorch this program is linked to, as 2.13.0.
std::string libtorch_version();

}  // namespace steplapse
