#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace steplapse {

/// Writes a file that appears whole or not at all, in place of one that was there: into PATH.part beside it, every byte
/// checked, flushed to the disk, then renamed.
/// @throws OutputError  "PATH: cannot write: No space left on device"; PATH is as it was, and no PATH.part is left. (A
///                      file above the limit of `ulimit -f` is such an error only where SIGXFSZ is ignored.) Also where
///                      PATH is a device, a pipe or a symbolic link: a rename would replace it.
void write_whole(const std::filesystem::path& path, std::string_view bytes);

/// Whether write_whole could begin, for work that takes long before it writes. Leaves nothing.
/// @throws OutputError  as write_whole; or the file is there and not to be overwritten
void check_writable(const std::filesystem::path& path, bool overwrite);

/// The bytes of a file that the user named.
/// @throws UsageError  it can't be read, or holds more than `max_bytes`.
std::string read_whole(const std::filesystem::path& path, size_t max_bytes);

}  // namespace steplapse
