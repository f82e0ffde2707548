#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/bundle_file.h"
#include "model/taught_prompts.h"
#include "model/tokenizer.h"
#include "steplapse/bundle.h"
#include "steplapse/manifest.h"

namespace steplapse {

/// A bundle on disk: its manifest, and its files after their checks. Tokenizers and taught prompts are read at the
/// first call for them, and kept. `open` and `read` are thread-safe; the other functions are not.
class BundleFolder {
 public:
  explicit BundleFolder(std::filesystem::path path);  ///< @throws BundleError  as read_manifest

  const std::filesystem::path& path() const { return path_; }
  const Manifest& manifest() const { return manifest_; }

  /// A file of the manifest, after its size and hash were checked.
  /// @param name  a key of manifest().files
  /// @throws BundleError  as BundleFile does
  std::unique_ptr<BundleFile> open(const std::string& name) const;
  std::string read(const std::string& name) const;  ///< the bytes of a file, checked as `open` does

  /// Reads one of the manifest's tokenizers. Errors name its files with the bundle's folder.
  /// @throws BundleError  as `open` and Tokenizer do
  Tokenizer read_tokenizer(const Manifest::Tokenizer& spec) const;
  const std::vector<Tokenizer>& tokenizers() const;  ///< all tokenizers, in the manifest's order

  /// The prompts that the model was taught; empty where the bundle does not say.
  /// @throws BundleError  as `read` and parse_prompts do
  const std::vector<TaughtPrompt>& taught_prompts() const;

 private:
  std::filesystem::path path_;
  Manifest manifest_;
  mutable std::optional<std::vector<Tokenizer>> tokenizers_;
  mutable std::optional<std::vector<TaughtPrompt>> taught_prompts_;
};

/// As load_bundle of the folder's path, without reading the manifest again.
Bundle load_bundle(BundleFolder folder, const std::string& device, const std::vector<std::string>& decoders);

/// These decoders of a bundle and nothing else: no other file is opened, and of the Bundle only `decode` can be called.
/// @throws as load_bundle does
Bundle load_decoders(BundleFolder folder, const std::string& device, const std::vector<std::string>& decoders);

}  // namespace steplapse
