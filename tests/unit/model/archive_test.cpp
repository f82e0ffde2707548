#include "model/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "support/archive_maker.h"

namespace steplapse {
namespace {

using namespace test_support;
using ::testing::HasSubstr;

const Entries kSmallArchive{{"data.pkl", "abc"}, {"constants/0", std::string(1000, 'x')}};

/// What unpack_archive says of bytes; empty if it takes them.
std::string archive_refusal(const std::string& bytes) {
  try {
    unpack_archive(bytes);
    return "";
  } catch (const ArchiveError& error) {
    return error.what();
  }
}

/// The place of the directory's entry of this name. Its fields have fixed distances to it.
size_t directory_entry(const std::string& bytes, const std::string& name) {
  const size_t at = bytes.rfind("archive/" + name);
  EXPECT_NE(at, std::string::npos);
  return at - 46;
}

template <typename Number>
std::string changed(std::string bytes, size_t at, Number number) {
  std::memcpy(bytes.data() + at, &number, sizeof number);
  return bytes;
}

TEST(Archive, HasTheEntriesThatWerePutIn) {
  for (const bool compress : {false, true}) {
    const Records records = unpack_archive(archive_of(kSmallArchive, compress));
    EXPECT_EQ(records.at("data.pkl"), "abc");
    EXPECT_EQ(records.at("constants/0"), std::string(1000, 'x'));
    EXPECT_GE(version_of(records), 3u);
  }
}

// miniz does not unpack a folder, and says that it did: what was in the memory comes out.
TEST(Archive, WithAFolderIsRefused) {
  const std::string bytes = archive_of(kSmallArchive);
  EXPECT_EQ(archive_refusal(changed(bytes, directory_entry(bytes, "constants/0") + 38, uint32_t{0x10})),
            "entry 'constants/0' has attributes of a folder or a device");
}

TEST(Archive, WhoseSizesLieIsRefused) {
  const std::string stored = archive_of(kSmallArchive), packed = archive_of(kSmallArchive, /*compress=*/true);
  EXPECT_THAT(archive_refusal(changed(stored, directory_entry(stored, "constants/0") + 24, uint32_t{2000})),
              HasSubstr("is stored in two sizes"));
  EXPECT_THAT(archive_refusal(changed(packed, directory_entry(packed, "constants/0") + 24, uint32_t{2000})),
              HasSubstr("does not unpack to the 2000 bytes"));
  EXPECT_THAT(archive_refusal(changed(packed, directory_entry(packed, "constants/0") + 24, uint32_t{0xffffffff})),
              HasSubstr("more than a program needs"));
  EXPECT_THAT(archive_refusal(changed(stored, directory_entry(stored, "constants/0") + 42, uint32_t{0xfffffff0})),
              HasSubstr("ends in the middle"));
}

// libtorch takes the memory before it looks: 1 kB asked for 2.1 GB.
TEST(Archive, WhoseVersionUnpacksToTooMuchIsRefused) {
  const std::string packed = archive_of(kSmallArchive, /*compress=*/true);
  const size_t version = packed.rfind("archive/version") - 46;
  EXPECT_EQ(archive_refusal(changed(packed, version + 24, uint32_t{2'100'000'000})),
            "entry 'version' unpacks to 2100000000 bytes, more than a program needs");
}

TEST(Archive, WithAChangedByteIsRefused) {
  const std::string bytes = archive_of(kSmallArchive);
  std::string other = bytes;
  other[bytes.find("xxxx") + 7] = 'y';
  EXPECT_EQ(archive_refusal(other), "entry 'constants/0' has another CRC-32 than the directory says");
}

TEST(Archive, WhoseEntryLiesInsideAnotherIsRefused) {
  const std::string bytes = archive_of(kSmallArchive);
  uint32_t first = 0;
  std::memcpy(&first, bytes.data() + directory_entry(bytes, "constants/0") + 42, sizeof first);
  // The second entry says that it begins where the first does; they have other names there.
  EXPECT_THAT(archive_refusal(changed(bytes, directory_entry(bytes, "data.pkl") + 42, first)),
              HasSubstr("does not lie where the directory says"));
}

TEST(Archive, WithWordsBehindItsEndIsRefused) {
  EXPECT_THAT(archive_refusal(archive_of(kSmallArchive) + " "), HasSubstr("no ZIP file that ends with its directory"));
}

TEST(Archive, ChangedAnywhereIsRefusedOrHasTheSameContents) {
  const std::string bytes = archive_of(kSmallArchive);
  const Records whole = unpack_archive(bytes);
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (const unsigned char flip : {0x01, 0x80}) {
      std::string other = bytes;
      other[at] = static_cast<char>(other[at] ^ flip);
      try {
        const Records records = unpack_archive(other);
        EXPECT_EQ(records.count("data.pkl") + records.count("constants/0"), 2u) << at;
        EXPECT_EQ(records.at("data.pkl"), "abc") << at;
      } catch (const ArchiveError&) {
      }
    }
  }
}

TEST(Archive, WhoseVersionIsNoNumberIsRefused) {
  for (const char* version : {"", "x", "3x", "99999999999999999999999", "-1"})
    EXPECT_THROW(version_of({{"version", version}}), ArchiveError) << version;
  EXPECT_EQ(version_of({{"version", "10\n"}}), 10u);
  EXPECT_THROW(version_of({}), ArchiveError);
}

}  // namespace
}  // namespace steplapse
