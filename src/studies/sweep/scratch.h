#pragma once

#include <filesystem>

#include "base/file_io.h"

namespace steplapse {

/// A folder of this process on the node's own disk, in which runs are made before they move to where they belong. It is
/// deleted with the object, and so are those that killed processes left there.
class Scratch {
 public:
  /// @param parent  the user's. @throws OutputError  it can't be written
  explicit Scratch(const std::filesystem::path& parent);
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  Descriptor lock_;
};

/// Moves a folder with all that is in it; also to another file system. It appears there whole or not at all, and replaces a
/// folder of that name. @throws OutputError
void move_whole(const std::filesystem::path& from, const std::filesystem::path& to);

/// Copies a folder, files flushed to the disk. @throws OutputError
void copy_whole(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace steplapse
