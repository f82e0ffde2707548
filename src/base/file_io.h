#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace steplapse {

/// An open file by its number, closed with the object.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}  ///< what open(2) returned: below 0 where it failed
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { close(); }

  bool is_open() const { return number_ >= 0; }
  int number() const { return number_; }
  bool close();  ///< @return false where closing failed, as it does when the disk is full; errno says why

 private:
  int number_;
};

/// PATH.part, which becomes PATH in the end or is removed: for what is not written at once, or by another program.
class PartFile {
 public:
  /// @throws OutputError  as write_whole does
  explicit PartFile(const std::filesystem::path& path);
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  ~PartFile();  ///< removes it, unless it was finished

  const std::filesystem::path& part() const { return part_; }
  void write(std::string_view bytes);  ///< goes on from the last one; the first is at the beginning
  void finish();                       ///< flushes it to the disk and renames it

 private:
  int create();
  [[noreturn]] void fail() const;

  std::filesystem::path path_, part_;
  bool is_confined_;  // a sandbox stands, in which the part is there already
  Descriptor file_;
};

/// Writes a file that appears whole or not at all, and replaces one of that name. The bytes go to PATH.part beside it;
/// each write is checked; then the file is flushed to the disk and renamed.
/// @throws OutputError  "PATH: cannot write: No space left on device"; PATH is then unchanged, and no PATH.part is
///                      left. (A file above the limit of `ulimit -f` gives this error only where SIGXFSZ is ignored.)
///                      Also where PATH is a device, a pipe or a symbolic link, which a rename would replace.
void write_whole(const std::filesystem::path& path, std::string_view bytes);

/// Checks that write_whole could begin, before work that takes long. Leaves no file. Where a sandbox is planned
/// (base/confinement.h), the file can be written from within.
/// @throws OutputError  as write_whole does; also where the file exists and `overwrite` is false
void check_writable(const std::filesystem::path& path, bool overwrite);

/// The bytes of a file that the user named.
/// @throws UsageError  the file cannot be read, or has more than `max_bytes`
std::string read_whole(const std::filesystem::path& path, size_t max_bytes);

/// The same of standard input, to its end.
std::string read_standard_input(size_t max_bytes);

}  // namespace steplapse
