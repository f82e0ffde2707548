#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/file_io.h"
#include "model/bundle_folder.h"

namespace steplapse {

/// Has a child process read programs before this one does: one that ends its reader, or keeps it for ever, ends the child.
/// The child has limits of time and memory, and no files of its parent's.
///
/// Only where a sandbox stands (base/confinement.h): the child of a program that links the library could wait for ever for a
/// lock that another thread held when it was forked.
///
/// What has passed is remembered in the bundle's cache, by hash, version and libtorch: it is not read twice at each start.
class ProgramCheck {
 public:
  using Reader = std::function<void(const std::string& path, const std::string& program)>;

  /// Of the child. The largest program of a known family takes 2 seconds and 300 MB.
  struct Limits {
    int64_t seconds = 60;              ///< of processor time
    int64_t bytes = int64_t{2} << 30;  ///< of memory, beside those in use
  };

  /// Starts the child, which reads the programs in this order.
  /// @param programs  keys of the manifest's files
  /// @param read      what it reads them by
  ProgramCheck(const BundleFolder& folder, const std::vector<std::string>& programs, Limits limits, const Reader& read);
  ProgramCheck(const ProgramCheck&) = delete;
  ProgramCheck& operator=(const ProgramCheck&) = delete;
  ~ProgramCheck();

  /// Returns when the child has read this program and all before it.
  /// @throws BundleError  it refused it, or it did not come to an end as it should
  void wait_for(const std::string& program);

 private:
  [[noreturn]] void fail(const std::string& program);

  std::filesystem::path mark_of(const std::string& program) const;

  const BundleFolder& folder_;
  const Limits limits_;
  std::vector<std::string> programs_;  // that have not passed before
  size_t passed_ = 0;
  Descriptor verdicts_{-1};
  pid_t child_ = -1;
};

/// The folder of this user's cache for the bundle; empty where there is none.
std::filesystem::path cache_of(const Manifest& manifest);

}  // namespace steplapse
