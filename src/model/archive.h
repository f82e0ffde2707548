#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

namespace steplapse {

/// What is wrong with an archive, without its path.
struct ArchiveError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The entries of a TorchScript archive by their names, without the folder that all of them lie in.
using Records = std::map<std::string, std::string>;

/// Unpacks an archive, a ZIP file as torch.jit.save writes it: entries that are stored or deflated, in one folder, one after
/// the other, with nothing behind the directory at the end. Entries that no program needs are checked, and left out.
///
/// All of it is read here: of two readers each may see another file in the same bytes.
///
/// Source: APPNOTE.TXT of PKWARE, version 6.3.10.
/// @throws ArchiveError  it is no such file
Records unpack_archive(std::string_view bytes);

/// The version of the archive's operators: what its entry `version` says. @throws std::invalid_argument  it says no number
uint64_t version_of(const Records& records);

}  // namespace steplapse
