#include "base/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/file_io.h"
#include "support/temporary_folder.h"

namespace steplapse {
namespace {

// Reading beyond a file's end in a mapping ends a process by SIGBUS.
TEST(MappedFile, CutShortReadsAsZerosAndIsNamed) {
  const test_support::TemporaryFolder folder;
  const auto path = folder / "weights";
  constexpr size_t kBytes = 1 << 20;
  std::ofstream(path) << std::string(kBytes, 'a');
  const Descriptor file(::open(path.c_str(), O_RDONLY));
  {
    const MappedFile mapped(file.number(), kBytes, path.string());
    EXPECT_EQ(mapped.bytes()[0], 'a');
    EXPECT_EQ(cut_mapped_file(), std::nullopt);
    ASSERT_EQ(::truncate(path.c_str(), 0), 0);
    const char last = mapped.bytes()[kBytes - 1];  // no page of it was read yet
    EXPECT_EQ(last, 0);
    EXPECT_EQ(cut_mapped_file(), path.string());
  }
  EXPECT_EQ(cut_mapped_file(), std::nullopt);
}

}  // namespace
}  // namespace steplapse
