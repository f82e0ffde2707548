#pragma once

#include <filesystem>
#include <string>

#include "base/file_io.h"
#include "steplapse/manifest.h"

namespace steplapse {

/// A file of a bundle, open for reading. Its place, size and SHA-256 were checked through this descriptor.
class BundleFile {
 public:
  /// @throws BundleError  naming the file: it is missing, outside the folder, or of another size or hash
  BundleFile(const std::filesystem::path& folder, const std::string& name, const Manifest::File& expected);
  int descriptor() const { return file_.number(); }
  const std::string& path() const { return path_; }  ///< for messages

 private:
  std::string path_;
  Descriptor file_;
};

/// The bytes of a file of a bundle. The hash is that of the bytes returned, so the file cannot change in between.
/// @throws BundleError  as BundleFile does
std::string read_bundle_file(const std::filesystem::path& folder, const std::string& name,
                             const Manifest::File& expected);

}  // namespace steplapse
