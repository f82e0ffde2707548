#include "base/sandbox.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "support/temporary_folder.h"

namespace steplapse {
namespace {

using test_support::TemporaryFolder;
using testing::ExitedWithCode;
using testing::HasSubstr;

namespace fs = std::filesystem;

/// Each test is a program of its own, begun anew: who is inside does not get out again. Its last words say what failed.
class Sandbox : public testing::Test {
 protected:
  Sandbox() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

int opening(const fs::path& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  const int error = file < 0 ? errno : 0;
  if (file >= 0) ::close(file);
  return error;
}

int connecting_a_socket_of(int family) {
  const int file = ::socket(family, SOCK_STREAM, 0);
  if (file < 0) return errno;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/run/none");
  return ::connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

/// The error that the program's start fails with, or 0.
int starting(const fs::path& program) {
  int ends[2];
  if (::pipe(ends) != 0) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    ::fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    ::execl(program.c_str(), program.c_str(), static_cast<char*>(nullptr));
    const int error = errno;
    if (::write(ends[1], &error, sizeof error) < 0) _exit(1);
    _exit(1);
  }
  ::close(ends[1]);
  int error = 0;
  if (::read(ends[0], &error, sizeof error) <= 0) error = 0;
  ::waitpid(child, nullptr, 0);
  return error;
}

/// Ends the test's program; the first thing that does not hold is said.
class Holds {
 public:
  void operator()(const char* what, int found, int expected) {
    if (found == expected) return;
    std::fprintf(stderr, "%s: %d, expected %d\n", what, found, expected);
    std::exit(1);
  }
  [[noreturn]] static void all() { std::exit(0); }
};

/// A file of the user's, and a folder for output.
struct Place {
  Place() {
    folder.write("own.txt", "own");
    fs::create_directories(out);
  }
  Walls enter_it() const {
    SandboxRules rules = rules_of_the_system();
    rules.write.push_back(out);
    return enter(rules);
  }
  TemporaryFolder folder;
  fs::path out = folder / "out", own = folder / "own.txt";
};

SandboxRules rules_with_true() {
  SandboxRules rules = rules_of_the_system();
  rules.execute = {"/bin/true", "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"};
  return rules;
}

TEST_F(Sandbox, LeavesFilesOutsideAlone) {
  EXPECT_EXIT(
      {
        const Place place;
        if (place.enter_it().landlock_abi == 0) Holds::all();
        Holds holds;
        holds("reading", opening(place.own, O_RDONLY), EACCES);
        holds("writing", opening(place.own, O_WRONLY), EACCES);
        holds("emptying", ::truncate(place.own.c_str(), 0) == 0 ? 0 : errno, EACCES);
        holds("making", opening(place.folder / "new", O_WRONLY | O_CREAT), EACCES);
        holds("deleting", ::unlink(place.own.c_str()) == 0 ? 0 : errno, EACCES);
        holds("moving away", ::rename(place.own.c_str(), (place.out / "x").c_str()) == 0 ? 0 : errno, EACCES);
        holds("a link to it", ::symlink("/etc/passwd", (place.out / "link").c_str()) == 0 ? 0 : errno, EACCES);
        holds("its mode", ::chmod(place.own.c_str(), 0777) == 0 ? 0 : errno, EPERM);
        Holds::all();
      },
      ExitedWithCode(0), "");
}

TEST_F(Sandbox, LeavesWhatTheRulesName) {
  EXPECT_EXIT(
      {
        const Place place;
        place.enter_it();
        Holds holds;
        holds("making", opening(place.out / "a", O_WRONLY | O_CREAT), 0);
        holds("a folder", ::mkdir((place.out / "b").c_str(), 0777) == 0 ? 0 : errno, 0);
        holds("renaming", ::rename((place.out / "a").c_str(), (place.out / "b/a").c_str()) == 0 ? 0 : errno, 0);
        holds("deleting", ::unlink((place.out / "b/a").c_str()) == 0 ? 0 : errno, 0);
        holds("a library", opening("/proc/self/maps", O_RDONLY), 0);
        holds("nothing", opening("/dev/null", O_RDWR), 0);
        holds("the peak of memory", opening("/proc/self/clear_refs", O_WRONLY), 0);
        int ends[2];
        holds("a pair of sockets", ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 ? 0 : errno, 0);
        Holds::all();
      },
      ExitedWithCode(0), "");
}

TEST_F(Sandbox, MakesNoConnection) {
  EXPECT_EXIT(
      {
        const Place place;
        if (!place.enter_it().seccomp) Holds::all();
        Holds holds;
        holds("IPv4", connecting_a_socket_of(AF_INET), EPERM);
        holds("IPv6", connecting_a_socket_of(AF_INET6), EPERM);
        holds("within the machine", connecting_a_socket_of(AF_UNIX), EPERM);
        Holds::all();
      },
      ExitedWithCode(0), "");
}

TEST_F(Sandbox, StartsNoProgram) {
  EXPECT_EXIT(
      {
        const Place place;
        if (!place.enter_it().seccomp) Holds::all();
        Holds()("/bin/true", starting("/bin/true"), EPERM);
        Holds::all();
      },
      ExitedWithCode(0), "");
}

TEST_F(Sandbox, StartsTheProgramThatTheRulesNameAndNoOther) {
  EXPECT_EXIT(
      {
        const Place place;
        if (enter(rules_with_true()).landlock_abi == 0) Holds::all();
        Holds holds;
        holds("/bin/true", starting("/bin/true"), 0);
        holds("/bin/false", starting("/bin/false"), EACCES);
        Holds::all();
      },
      ExitedWithCode(0), "");
}

TEST_F(Sandbox, HoldsThreadsThatBeginLater) {
  EXPECT_EXIT(
      {
        const Place place;
        if (place.enter_it().landlock_abi == 0) Holds::all();
        int error = 0;
        std::thread([&] { error = opening(place.own, O_WRONLY); }).join();
        Holds()("writing", error, EACCES);
        Holds::all();
      },
      ExitedWithCode(0), "");
}

TEST_F(Sandbox, SaysWhichThreadsItDoesNotHold) {
  EXPECT_EXIT(
      {
        const Place place;
        std::thread([] { ::pause(); }).detach();
        const std::string text = place.enter_it().text();
        std::fprintf(stderr, "%s\n", text.c_str());
        std::exit(text.find("landlock") == 0 && text.find("1 earlier thread") == std::string::npos ? 1 : 0);
      },
      ExitedWithCode(0), "");
}

}  // namespace
}  // namespace steplapse
