#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace steplapse {

/// A file's bytes in memory, read when they are needed. What is written to them stays in this process.
///
/// The file may be cut short meanwhile, by another process. Reading what is gone would end this one (SIGBUS). Zeros are read
/// there instead, and cut_mapped_file says so: who computes with the bytes asks it before it believes the result.
class MappedFile {
 public:
  /// @param descriptor  of a regular file with `size` bytes; may be closed afterwards
  /// @throws std::system_error  it can't be mapped
  MappedFile(int descriptor, size_t size, std::string path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  char* bytes() const { return bytes_; }
  size_t size() const { return size_; }

 private:
  char* bytes_ = nullptr;
  size_t size_;
  size_t place_;  // among those that the signal's handler knows
};

/// The path of a file that is mapped now and was found cut short. None: none was.
std::optional<std::string> cut_mapped_file();

}  // namespace steplapse
