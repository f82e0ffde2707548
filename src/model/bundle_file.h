#pragma once

#include <filesystem>
#include <string>

#include "steplapse/manifest.h"

namespace steplapse {

/// A file of a bundle, open for reading, after its place, size and SHA-256 were checked through this very descriptor.
class BundleFile {
 public:
  /// @throws BundleError  the file and what is wrong: missing, outside the folder, another size, another hash
  BundleFile(const std::filesystem::path& folder, const std::string& name, const Manifest::File& expected);
  BundleFile(const BundleFile&) = delete;
  ~BundleFile();

  int descriptor() const { return descriptor_; }
  const std::string& path() const { return path_; }  ///< for messages

 private:
  std::string path_;
  int descriptor_ = -1;
};

/// The bytes of a file of a bundle. They are hashed after they were read, so that nothing can change in between.
/// @throws BundleError  as above
std::string read_bundle_file(const std::filesystem::path& folder, const std::string& name,
                             const Manifest::File& expected);

}  // namespace steplapse
