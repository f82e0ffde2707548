#pragma once

#include <sys/types.h>

#include <filesystem>
#include <mutex>
#include <vector>

#include "base/file_io.h"

namespace steplapse {

/// A process outside of the sandbox that does, for the one inside, what would need rights on whole folders: it gives
/// finished files their names, and takes away at the end what is left over. It knows all paths from its beginning, and
/// is told no others. It outlives this process where that is killed.
class Broker {
 public:
  /// Starts it, with no other thread about.
  /// @param files    to be written whole: PATH.part lies beside each, and is removed at the end unless it was renamed
  /// @param made     folders that are removed at the end where they are empty, the last first
  /// @param scratch  a folder that is removed at the end with all that is in it; empty: none
  Broker(std::vector<std::filesystem::path> files, std::vector<std::filesystem::path> made,
         std::filesystem::path scratch);
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;
  ~Broker() { end(); }

  /// Renames PATH.part of this file to PATH. @return 0, or the error
  int finish(size_t file);

  void end() noexcept;  ///< what is left over is gone when this returns; thread-safe

 private:
  std::mutex mutex_;
  Descriptor socket_;
  pid_t process_;
};

}  // namespace steplapse
