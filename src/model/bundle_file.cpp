#include "model/bundle_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/sha256.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLargestInMemory = 256 << 20;  // of files that are read whole; weights are mapped

/// Where an open file is. The kernel knows it of the descriptor, so swapping a link in meanwhile does not help.
fs::path real_path(int descriptor) { return fs::read_symlink("/proc/self/fd/" + std::to_string(descriptor)); }

void check_inside(const std::string& path, const fs::path& folder, const fs::path& real) {
  const fs::path inside = real.lexically_relative(fs::canonical(folder));
  if (inside.empty() || *inside.begin() == "..")
    throw BundleError(path + ": leads out of the bundle, to " + real.string() + "; copy the file into the folder");
}

/// What leads out cannot even be opened in the sandbox.
[[noreturn]] void refuse_unopened(const std::string& path, const fs::path& folder, int why) {
  std::error_code unreadable;
  const fs::path real = fs::canonical(path, unreadable);
  if (!unreadable) check_inside(path, folder, real);
  throw BundleError(path + ": can't be opened (" + std::strerror(why) + "), though model.json names it");
}

void check_size(const std::string& path, int descriptor, int64_t expected) {
  struct stat status;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) throw BundleError(path + ": is not a plain file");
  if (status.st_size == expected) return;
  throw BundleError(path + ": has " + std::to_string(status.st_size) + " bytes, model.json asks for " +
                    std::to_string(expected) + "; fetch or export the bundle again");
}

void check_hash(const std::string& path, const std::string& found, const std::string& expected) {
  if (found == expected) return;
  throw BundleError(path + ": its SHA-256 is " + found + ", model.json asks for " + expected +
                    "; fetch or export the bundle again");
}

/// Does not wait, as opening a FIFO without a writer would.
Descriptor open_inside(const std::string& path, const fs::path& folder, int64_t expected_size) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) refuse_unopened(path, folder, errno);
  check_inside(path, folder, real_path(file.number()));
  check_size(path, file.number(), expected_size);
  return file;
}

}  // namespace

BundleFile::BundleFile(const fs::path& folder, const std::string& name, const Manifest::File& expected)
    : path_((folder / name).string()), file_(open_inside(path_, folder, expected.size)) {
  try {
    check_hash(path_, sha256_of_descriptor(file_.number()), expected.sha256);
  } catch (const std::system_error& error) {
    throw BundleError(path_ + ": can't be read: " + error.what());
  }
}

std::string read_bundle_file(const fs::path& folder, const std::string& name, const Manifest::File& expected) {
  const std::string path = (folder / name).string();
  const Descriptor file = open_inside(path, folder, expected.size);
  if (expected.size > kLargestInMemory)  // a file with gaps has any size, and takes no place on the disk
    throw BundleError(path + ": has " + std::to_string(expected.size) +
                      " bytes, more than a program or a tokenizer has");
  std::string bytes(static_cast<size_t>(expected.size), '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = read(file.number(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw BundleError(path + ": can't be read: " + std::strerror(count < 0 ? errno : EIO));
    done += static_cast<size_t>(count);
  }
  check_hash(path, sha256(bytes), expected.sha256);
  return bytes;
}

}  // namespace steplapse
