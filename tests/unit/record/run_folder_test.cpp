#include "record/run_folder.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "steplapse/error.h"
#include "support/temporary_folder.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using test_support::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

void make_run(const fs::path& path) {
  fs::create_directories(path);
  TemporaryFolder file;
  file.write("log", "");
  fs::copy(file / "log", path / "run.sqlite");
}

TEST(RunFolder, IsFoundByItselfAndByItsLog) {
  const TemporaryFolder folder;
  make_run(folder / "apple");
  EXPECT_EQ(existing_run(folder / "apple"), folder / "apple");
  EXPECT_EQ(existing_run(folder / "apple/run.sqlite"), folder / "apple");
  EXPECT_THAT(runs_in(folder / "apple"), ElementsAre(folder / "apple"));
}

TEST(RunFolder, OfSeveralRunsNamesOne) {
  const TemporaryFolder folder;
  make_run(folder / "sweep/0002-pear");
  make_run(folder / "sweep/0001-apple");
  fs::create_directories(folder / "sweep/notes");
  EXPECT_THAT(runs_in(folder / "sweep"), ElementsAre(folder / "sweep/0001-apple", folder / "sweep/0002-pear"));
  EXPECT_THAT([&] { existing_run(folder / "sweep"); },
              ThrowsMessage<UsageError>(
                  HasSubstr("holds 2 runs; name one of them, such as " + (folder / "sweep/0001-apple").string())));
}

TEST(RunFolder, WithoutARunIsRefused) {
  const TemporaryFolder folder;
  EXPECT_THAT(runs_in(folder.path()), IsEmpty());
  EXPECT_THAT([&] { existing_run(folder.path()); },
              ThrowsMessage<UsageError>(HasSubstr("holds no run (no run.sqlite); expected a run folder")));
  EXPECT_THAT([&] { existing_run(folder / "none"); },
              ThrowsMessage<UsageError>(HasSubstr("cannot read: No such file")));
}

TEST(RunFolder, IsBeingWrittenWhileItsLockIsHeld) {
  const TemporaryFolder folder;
  make_run(folder.path());
  EXPECT_FALSE(is_being_written(folder.path()));
  const int lock = ::open((folder / "run.lock").c_str(), O_RDWR | O_CREAT, 0666);
  EXPECT_FALSE(is_being_written(folder.path()));
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  EXPECT_TRUE(is_being_written(folder.path()));
  ::close(lock);
  EXPECT_FALSE(is_being_written(folder.path()));
}

class DefaultFolderTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::current_path(place_.path()); }
  void TearDown() override { std::filesystem::current_path(before_); }

  const std::filesystem::path before_ = std::filesystem::current_path();
  const TemporaryFolder place_;
};

TEST_F(DefaultFolderTest, IsNobodyElses) {
  DefaultFolder one, other;
  const auto first = one.for_run("red apple", 7, false), second = other.for_run("red apple", 7, false);
  EXPECT_NE(first, second);
  EXPECT_TRUE(std::filesystem::is_directory(first));
  EXPECT_TRUE(std::filesystem::is_directory(second));
}

TEST_F(DefaultFolderTest, IsGoneAgainIfNothingCameIntoIt) {
  std::filesystem::path used;
  {
    DefaultFolder one, other;
    used = one.for_batch(3, false);
    other.for_batch(3, false);
    std::ofstream(used / "run.sqlite") << "log";
  }
  std::vector<std::filesystem::path> left(std::filesystem::directory_iterator("runs"), {});
  EXPECT_THAT(left, testing::ElementsAre(used));
}

TEST_F(DefaultFolderTest, IsOnlyNamedInADryRun) {
  DefaultFolder().for_run("red apple", 7, true);
  EXPECT_TRUE(std::filesystem::is_empty("."));
}

TEST_F(DefaultFolderTest, SaysWhyItCantBeMade) {
  place_.write("runs", "a file");
  DefaultFolder folder;
  EXPECT_THROW(folder.for_run("red apple", 7, false), OutputError);
}

}  // namespace
}  // namespace steplapse
