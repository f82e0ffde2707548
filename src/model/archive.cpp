#include "model/archive.h"

#include <libdeflate.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <vector>

#include "base/text.h"

namespace steplapse {
namespace {

constexpr size_t kLongestName = 255;
constexpr size_t kMostEntries = 100'000;
constexpr size_t kLargestRecord = 64 << 20;  // unpacked; a program holds no weights
constexpr size_t kLargestArchive = 256 << 20;

// Signatures, and the bytes of what stands behind them up to texts of any length.
constexpr uint32_t kEntrySign = 0x04034b50, kDirectorySign = 0x02014b50, kEndSign = 0x06054b50, kEnd64Sign = 0x06064b50,
                   kLocatorSign = 0x07064b50;
constexpr size_t kEntryBytes = 30, kDirectoryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr uint16_t kStored = 0, kDeflated = 8;
constexpr uint16_t kAllowedFlags = 0x0808;  // sizes stand behind the entry too; names are UTF-8

[[noreturn]] void refuse_archive(const std::string& why) { throw ArchiveError(why); }

/// Numbers in the bytes, least significant byte first.
class ArchiveBytes {
 public:
  explicit ArchiveBytes(std::string_view bytes) : bytes_(bytes) {}

  std::string_view at(size_t begin, size_t count) const {
    if (begin > bytes_.size() || count > bytes_.size() - begin)
      refuse_archive("ends in the middle of its directory or of an entry");
    return bytes_.substr(begin, count);
  }
  template <typename Number>
  Number number(size_t begin) const {
    Number number;
    std::memcpy(&number, at(begin, sizeof number).data(), sizeof number);
    return number;
  }
  size_t size() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
};

/// What the directory says of an entry.
struct DirectoryEntry {
  std::string path;  ///< with the archive's folder
  std::string name;  ///< without it
  uint16_t method;
  uint32_t crc32;
  size_t packed, unpacked;  ///< bytes
  size_t begins;            ///< the place of the entry's own header
};

/// Where the directory lies, and how many entries it has.
struct DirectoryPlace {
  size_t begin, end, entries;
};

DirectoryPlace place_of_directory(const ArchiveBytes& bytes) {
  if (bytes.size() < kEndBytes || bytes.number<uint32_t>(bytes.size() - kEndBytes) != kEndSign)
    refuse_archive("is no TorchScript archive: it is no ZIP file that ends with its directory");
  const size_t end = bytes.size() - kEndBytes;
  DirectoryPlace place{
      .begin = bytes.number<uint32_t>(end + 16), .end = end, .entries = bytes.number<uint16_t>(end + 10)};
  // torch.jit.save repeats the end in its 64-bit form. Where there is one it counts, as it does for other readers.
  if (end >= kLocatorBytes + kEnd64Bytes && bytes.number<uint32_t>(end - kLocatorBytes) == kLocatorSign) {
    place.end = end - kLocatorBytes - kEnd64Bytes;
    if (bytes.number<uint64_t>(end - kLocatorBytes + 8) != place.end || bytes.number<uint32_t>(place.end) != kEnd64Sign)
      refuse_archive("has two ends of its directory that do not lie together");
    if (bytes.number<uint64_t>(place.end + 48) != place.begin ||
        bytes.number<uint64_t>(place.end + 32) != place.entries)
      refuse_archive("has two ends of its directory that differ");
  }
  if (place.begin + uint64_t{bytes.number<uint32_t>(end + 12)} != place.end)
    refuse_archive("has its directory where its end does not say");
  if (place.entries > kMostEntries)
    refuse_archive("has " + std::to_string(place.entries) + " entries, more than a program has");
  return place;
}

/// The entry's name without the archive's folder, which is that of the first entry.
std::string name_in_folder(const std::string& path, std::string& folder) {
  if (folder.empty()) folder = path.substr(0, path.find('/') + 1);
  if (folder.empty() || !path.starts_with(folder))
    refuse_archive("entry " + in_quotes(path, 40) + " does not lie in the archive's folder");
  std::string name = path.substr(folder.size());
  if (name.size() > kLongestName) refuse_archive("entry " + in_quotes(name, 40) + " has a name of 256 bytes or more");
  return name;
}

/// @param at  where it begins; then where the next one does
DirectoryEntry entry_at(const ArchiveBytes& bytes, size_t& at, std::string& folder) {
  if (bytes.number<uint32_t>(at) != kDirectorySign) refuse_archive("has something else than an entry in its directory");
  const size_t name = bytes.number<uint16_t>(at + 28), extra = bytes.number<uint16_t>(at + 30),
               comment = bytes.number<uint16_t>(at + 32);
  std::string path(bytes.at(at + kDirectoryBytes, name));
  DirectoryEntry entry{.path = path,
                       .name = name_in_folder(path, folder),
                       .method = bytes.number<uint16_t>(at + 10),
                       .crc32 = bytes.number<uint32_t>(at + 16),
                       .packed = bytes.number<uint32_t>(at + 20),
                       .unpacked = bytes.number<uint32_t>(at + 24),
                       .begins = bytes.number<uint32_t>(at + 42)};
  const std::string place = "entry " + in_quotes(entry.name, 40);
  if ((bytes.number<uint16_t>(at + 8) & ~kAllowedFlags) != 0)
    refuse_archive(place + " is encrypted or of another kind");
  if (bytes.number<uint32_t>(at + 38) != 0) refuse_archive(place + " has attributes of a folder or a device");
  if (entry.method != kStored && entry.method != kDeflated)
    refuse_archive(place + " is packed by method " + std::to_string(entry.method) + ", expected stored or deflated");
  at += kDirectoryBytes + name + extra + comment;
  return entry;
}

/// Where an entry's bytes begin: behind its own header, which names it again.
size_t begin_of(const ArchiveBytes& bytes, const DirectoryEntry& entry) {
  const size_t name = bytes.number<uint16_t>(entry.begins + 26), extra = bytes.number<uint16_t>(entry.begins + 28);
  if (bytes.number<uint32_t>(entry.begins) != kEntrySign || bytes.at(entry.begins + kEntryBytes, name) != entry.path)
    refuse_archive("entry " + in_quotes(entry.name) + " does not lie where the directory says");
  return entry.begins + kEntryBytes + name + extra;
}

std::string unpacked(const ArchiveBytes& bytes, const DirectoryEntry& entry, size_t begin) {
  const std::string_view packed = bytes.at(begin, entry.packed);
  std::string content(entry.unpacked, '\0');
  if (entry.method == kStored) {
    if (entry.packed != entry.unpacked) refuse_archive("entry " + in_quotes(entry.name) + " is stored in two sizes");
    content = packed;
  } else {
    const std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)> inflater(
        libdeflate_alloc_decompressor(), &libdeflate_free_decompressor);
    if (!inflater) throw std::bad_alloc();
    const auto result = libdeflate_deflate_decompress(inflater.get(), packed.data(), packed.size(), content.data(),
                                                      content.size(), /*actual_out_nbytes_ret=*/nullptr);
    if (result != LIBDEFLATE_SUCCESS)
      refuse_archive("entry " + in_quotes(entry.name) + " does not unpack to the " + std::to_string(content.size()) +
                     " bytes that the directory says");
  }
  if (libdeflate_crc32(0, content.data(), content.size()) != entry.crc32)
    refuse_archive("entry " + in_quotes(entry.name) + " has another CRC-32 than the directory says");
  return content;
}

/// Entries that torch.jit.save writes and no program needs: the Python source, the inputs of tracing.
bool is_idle(std::string_view name) {
  return name.ends_with(".debug_pkl") || name.starts_with("traced_inputs") || name == ".data/serialization_id" ||
         name == ".format_version" || name == ".storage_alignment";
}

bool is_needed(std::string_view name) {
  return name == "data.pkl" || name == "constants.pkl" || name == "byteorder" || name == "version" ||
         name == ".data/version" || name.starts_with("data/") || name.starts_with("constants/") ||
         (name.starts_with("code/") && name.ends_with(".py"));
}

}  // namespace

Records unpack_archive(std::string_view archive) {
  const ArchiveBytes bytes(archive);
  const DirectoryPlace directory = place_of_directory(bytes);
  Records records;
  std::string folder;
  size_t at = directory.begin, free_from = 0, total = 0;
  for (size_t i = 0; i < directory.entries; ++i) {
    const DirectoryEntry entry = entry_at(bytes, at, folder);
    const std::string& name = entry.name;
    if (!is_idle(name) && !is_needed(name)) refuse_archive("entry " + in_quotes(name) + " is none that a program has");
    total += entry.unpacked;
    if (entry.unpacked > kLargestRecord || total > kLargestArchive)
      refuse_archive("entry " + in_quotes(name) + " unpacks to " + std::to_string(entry.unpacked) +
                     " bytes, more than a program needs");
    const size_t begin = begin_of(bytes, entry);
    if (entry.begins < free_from || begin + entry.packed > directory.begin)
      refuse_archive("entry " + in_quotes(name) + " lies inside another or in the directory");
    free_from = begin + entry.packed;
    if (is_idle(name)) continue;
    if (!records.emplace(name, unpacked(bytes, entry, begin)).second)
      refuse_archive("entry " + in_quotes(name) + " is there twice");
  }
  if (at != directory.end) refuse_archive("has a directory that does not end where it says");
  return records;
}

uint64_t version_of(const Records& records) {
  auto found = records.find("version");
  if (found == records.end()) found = records.find(".data/version");
  if (found == records.end()) refuse_archive("has no entry 'version'; it is no TorchScript archive");
  const std::string& text = found->second;
  uint64_t version = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  const std::string_view after(rest, static_cast<size_t>(text.data() + text.size() - rest));
  if (error != std::errc() || (!after.empty() && after != "\n"))
    refuse_archive("has an entry 'version' that is " + in_quotes(text, 20) + ", expected a number");
  return version;
}

}  // namespace steplapse
