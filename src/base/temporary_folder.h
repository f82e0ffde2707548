#pragma once

#include <filesystem>

namespace steplapse {

/// A folder of its own among the system's temporary ones, deleted with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();  ///< @throws OutputError  it can't be made
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace steplapse
