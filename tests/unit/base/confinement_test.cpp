#include "base/confinement.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>

#include "base/aten.h"
#include "base/file_io.h"
#include "base/machine.h"
#include "base/sandbox.h"
#include "base/signals.h"
#include "base/temporary_folder.h"
#include "steplapse/error.h"
#include "support/temporary_folder.h"

namespace steplapse {
namespace {

using testing::ElementsAre;
using testing::ExitedWithCode;
using testing::IsEmpty;

namespace fs = std::filesystem;

/// Each test is a program of its own, begun anew.
class Confined : public testing::Test {
 protected:
  Confined() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

/// A folder for the test and for its program. That one is begun anew, and runs the test up to the same line.
class SharedFolder {
 public:
  SharedFolder() {
    if (const char* const known = std::getenv(kName)) {
      path_ = known;
      return;
    }
    own_.emplace();
    path_ = own_->path();
    ::setenv(kName, path_.c_str(), 1);
  }
  ~SharedFolder() {
    if (own_) ::unsetenv(kName);
  }
  const fs::path& path() const { return path_; }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  static constexpr const char* kName = "STEPLAPSE_TEST_FOLDER";
  std::optional<test_support::TemporaryFolder> own_;
  fs::path path_;
};

/// Ends the test's program.
[[noreturn]] void end_with(bool holds, const std::string& words = "") {
  std::fprintf(stderr, "%s\n", words.c_str());
  std::exit(holds ? 0 : 1);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

bool is_refused(const fs::path& file) {
  try {
    write_whole(file, "text");
    return false;
  } catch (const OutputError&) {
    return true;
  }
}

/// libtorch's own way would start threads of another library too, which can't be ended: the program avoids it.
void make_openmp_threads() {
  at::get_num_threads();  // else it sets their number at its first operation
  reinterpret_cast<void (*)(int)>(::dlsym(RTLD_DEFAULT, "omp_set_num_threads"))(4);
}

void plan() {
  plan_confinement([](const std::string&) {});
}

TEST_F(Confined, IsNoneWhereNoneIsPlanned) {
  EXPECT_EXIT(
      {
        const test_support::TemporaryFolder folder;
        confine(folder.path());
        write_whole(folder / "a", "text");
        end_with(confinement_text() == "off" && !is_confined());
      },
      ExitedWithCode(0), "");
}

TEST_F(Confined, LeavesNoOtherThreadOutside) {
  EXPECT_EXIT(
      {
        watch_signals();
        make_openmp_threads();
        const at::Tensor sum = at::ones({1000, 1000}) + at::ones({1000, 1000});
        if (threads_here() < 3) end_with(false, "no thread to end");
        plan();
        confine("/usr/share");
        const std::string text = confinement_text();
        end_with(text == "none" || text == "seccomp" || text.find("thread") == std::string::npos, text);
      },
      ExitedWithCode(0), "");
}

TEST_F(Confined, StartsLibtorchsThreadsBehindTheWalls) {
  EXPECT_EXIT(
      {
        plan();
        set_threads(3);
        const size_t before = threads_here();
        confine("/usr/share");
        end_with(before == 1 && at::get_num_threads() == 3 && confinement_text().find("thread") == std::string::npos);
      },
      ExitedWithCode(0), "");
}

TEST_F(Confined, StillTakesSignals) {
  EXPECT_EXIT(
      {
        watch_signals();
        SignalWatch watch([](int) {});
        watch.give(1000);
        plan();
        confine("/usr/share");
        ::kill(::getpid(), SIGUSR1);
        while (noted_signal() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        end_with(noted_signal() == SIGUSR1);
      },
      ExitedWithCode(0), "");
}

TEST_F(Confined, WritesTheFilesThatWereNamedAndNoOthers) {
  const SharedFolder folder;
  std::ofstream(folder / "old.csv") << "old";
  EXPECT_EXIT(
      {
        const fs::path& here = folder.path();
        plan();
        check_writable(here / "new.csv", false);
        check_writable(here / "old.csv", true);
        check_writable(here / "never.csv", false);
        confine("/usr/share");
        write_whole(here / "new.csv", "new");
        write_whole(here / "old.csv", "newer");
        end_with(confinement_text().find("landlock") != 0 || is_refused(here / "other.csv"));
      },
      ExitedWithCode(0), "");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("new.csv", "old.csv"));
  EXPECT_EQ(read_whole(folder / "new.csv", 100), "new");
  EXPECT_EQ(read_whole(folder / "old.csv", 100), "newer");
}

TEST_F(Confined, TakesAwayFoldersThatStayedEmpty) {
  const SharedFolder folder;
  EXPECT_EXIT(
      {
        const fs::path& here = folder.path();
        plan();
        confinement_writes(here / "runs" / "empty");
        confinement_writes(here / "kept");
        confinement_writes_file(here / "deep" / "x.png");
        confine("/usr/share");
        write_whole(here / "kept" / "file", "text");
        end_with(fs::is_directory(here / "runs" / "empty"));
      },
      ExitedWithCode(0), "");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("kept"));
}

TEST_F(Confined, TakesAwayWhatIsLeftOfAKilledProgram) {
  const SharedFolder folder;
  EXPECT_EXIT(
      {
        const fs::path& here = folder.path();
        plan();
        confinement_writes(here / "empty");
        confinement_writes_file(here / "x.png");
        confine("/usr/share");
        ::kill(::getpid(), SIGKILL);
      },
      testing::KilledBySignal(SIGKILL), "");
  for (int i = 0; i < 1000 && !names_in(folder.path()).empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
}

TEST_F(Confined, HasAFolderForTemporaryFiles) {
  EXPECT_EXIT(
      {
        plan();
        const TemporaryFolder before;
        confine("/usr/share");
        const TemporaryFolder after;
        std::ofstream(after.path() / "file") << "text";
        std::ofstream(before.path() / "file") << "text";
        end_with(read_whole(after.path() / "file", 10) == "text" && read_whole(before.path() / "file", 10) == "text");
      },
      ExitedWithCode(0), "");
}

}  // namespace
}  // namespace steplapse
