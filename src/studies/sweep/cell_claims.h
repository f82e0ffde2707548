#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file_io.h"

namespace steplapse {

/// Which process makes which cell: DIR/claims has a byte for each. Who makes cell i holds an fcntl write lock on byte i,
/// which dies with its owner, on other machines too. The byte counts how often the cell was finished, so that who gets the
/// lock later sees that it was: a file system gives the locked bytes as their last owner left them.
///
/// POSIX drops all locks of a process on a file as soon as it closes any of its descriptors of that file. So a process has
/// one CellClaims of a folder, and opens the file nowhere else.
class CellClaims {
 public:
  /// Opens the file, and makes it where there is none. @throws OutputError
  CellClaims(const std::filesystem::path& sweep, size_t cells);

  /// How the file system fails to lock, as a reason to follow "DIR/claims: "; none where locks hold. Two processes are
  /// needed to see it, so it starts a child for a moment.
  std::optional<std::string> why_locks_fail() const;
  void go_without_locks() { locks_ = false; }  ///< from now on each cell that is not finished is given

  /// @return false where another process has it, or has finished it since this object was made
  /// @throws OutputError  the file system refuses it for another reason
  bool claim(size_t cell);
  void release(size_t cell);
  bool is_finished_elsewhere(size_t cell) const;  ///< since this object was made
  void count_finished(size_t cell);               ///< of one that is claimed; before its release

 private:
  bool lock(size_t byte) const;
  void unlock(size_t byte) const;
  uint8_t count(size_t cell) const;

  std::filesystem::path path_;
  size_t cells_;
  Descriptor file_;
  std::vector<uint8_t> counts_;  // when the file was opened
  bool locks_ = true;
};

/// The cells that processes hold now, rising. Empty where nothing was claimed yet, or locks fail.
/// To be called by a process that has no CellClaims.
std::vector<size_t> claimed_cells(const std::filesystem::path& sweep, size_t cells);

}  // namespace steplapse
