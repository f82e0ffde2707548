#include "base/file_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using testing::StrEq;
using testing::ThrowsMessage;
using testing::UnorderedElementsAre;

class FileIo : public testing::Test {
 protected:
  FileIo() { fs::create_directories(folder_); }
  ~FileIo() override { fs::remove_all(folder_); }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.push_back(entry.path().filename());
    return names;
  }

  static std::string contents(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const fs::path folder_ = fs::path(testing::TempDir()) / ("file_io_" + std::to_string(::getpid()));
  const fs::path path_ = folder_ / "frame.png";
};

/// While it lives, files end at `bytes`, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_action_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_limit_);
    const rlimit limit{bytes, old_limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_action_);
  }

 private:
  void (*old_action_)(int);
  rlimit old_limit_;
};

TEST_F(FileIo, WritesEveryByteAndLeavesNothingElse) {
  const std::string bytes("a\0\r\n\xff", 5);
  write_whole(path_, bytes);
  EXPECT_EQ(contents(path_), bytes);
  write_whole(path_, "");
  EXPECT_EQ(contents(path_), "");
  EXPECT_THAT(names(), UnorderedElementsAre("frame.png"));
}

TEST_F(FileIo, FileIsAlwaysOneOrTheOther) {
  const std::string a(300'000, 'a'), b(200'000, 'b');
  write_whole(path_, a);
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < 40; ++i) write_whole(path_, i % 2 ? a : b);
    done = true;
  });
  int torn = 0;
  do {
    const std::string read = contents(path_);
    torn += read != a && read != b;
  } while (!done);
  writer.join();
  EXPECT_EQ(torn, 0);
}

TEST_F(FileIo, FullDiskLeavesTheOldFile) {
  write_whole(path_, "old");
  const FileSizeLimit limit(4096);
  EXPECT_THAT([&] { write_whole(path_, std::string(10'000, 'x')); },
              ThrowsMessage<OutputError>(StrEq(path_.string() + ": cannot write: File too large")));
  EXPECT_EQ(contents(path_), "old");
  EXPECT_THAT(names(), UnorderedElementsAre("frame.png"));
}

TEST_F(FileIo, WriteSaysWhyItCannot) {
  write_whole(path_, "a file");
  EXPECT_THAT([&] { write_whole(path_ / "x", ""); },
              ThrowsMessage<OutputError>(StrEq((path_ / "x").string() + ": cannot write: Not a directory")));
  EXPECT_THAT(
      [&] { write_whole(folder_ / "no" / "x", ""); },
      ThrowsMessage<OutputError>(StrEq((folder_ / "no" / "x").string() + ": cannot write: No such file or directory")));
}

TEST_F(FileIo, WhatIsNoRegularFileStays) {
  const auto refuses = [&](const std::string& name, const std::string& what) {
    EXPECT_THAT([&] { write_whole(folder_ / name, "x"); },
                ThrowsMessage<OutputError>(
                    StrEq((folder_ / name).string() + ": is " + what + ", expected a regular file or a new name")));
  };
  fs::create_directories(folder_ / "folder" / "inside");
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  write_whole(folder_ / "precious", "mine");
  fs::create_symlink("precious", folder_ / "link");
  fs::create_symlink("gone", folder_ / "broken");
  refuses("folder", "a folder");
  refuses("pipe", "a pipe");
  refuses("link", "a symbolic link");
  refuses("broken", "a symbolic link");
  EXPECT_TRUE(fs::is_fifo(folder_ / "pipe"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(contents(folder_ / "precious"), "mine");
  EXPECT_THAT(names(), UnorderedElementsAre("folder", "pipe", "precious", "link", "broken"));
}

TEST_F(FileIo, LeftoverOfAKilledRunIsNotWrittenThrough) {
  write_whole(folder_ / "precious", "mine");
  fs::create_symlink(folder_ / "precious", path_.string() + ".part");
  write_whole(path_, "picture");
  EXPECT_EQ(contents(folder_ / "precious"), "mine");
  EXPECT_EQ(contents(path_), "picture");
  EXPECT_THAT(names(), UnorderedElementsAre("precious", "frame.png"));
}

TEST_F(FileIo, LeavesNoDescriptorOpen) {
  const auto open_descriptors = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_descriptors();
  for (int i = 0; i < 8; ++i) {
    write_whole(path_, "x");
    read_whole(path_, 1);
    EXPECT_THROW(read_whole(path_, 0), UsageError);
    EXPECT_THROW(write_whole(folder_, "x"), OutputError);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(FileIo, ReadsUpToTheLimit) {
  const std::string bytes(100'000, 'x');
  write_whole(path_, bytes);
  EXPECT_EQ(read_whole(path_, 100'000), bytes);
  EXPECT_THAT([&] { read_whole(path_, 99'999); },
              ThrowsMessage<UsageError>(StrEq(path_.string() + ": more than 99999 bytes")));
  EXPECT_THROW(read_whole("/dev/zero", 1000), UsageError);
}

TEST_F(FileIo, ReadSaysWhyItCannot) {
  EXPECT_THAT([&] { read_whole(path_, 10); },
              ThrowsMessage<UsageError>(StrEq(path_.string() + ": cannot read: No such file or directory")));
  EXPECT_THAT([&] { read_whole(folder_, 10); },
              ThrowsMessage<UsageError>(StrEq(folder_.string() + ": cannot read: Is a directory")));
}

}  // namespace
}  // namespace steplapse
