#include "model/program_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "base/confinement.h"
#include "base/sandbox.h"
#include "model/program.h"
#include "steplapse/bundle.h"
#include "steplapse/error.h"
#include "support/bundle_maker.h"

namespace steplapse {
namespace {

using test_support::BundleMaker;
using testing::ContainsRegex;
using testing::ExitedWithCode;
using testing::HasSubstr;

/// Each test is a program of its own, begun anew: it goes into the sandbox. It says on stderr what the check says.
class CheckInChild : public testing::Test {
 protected:
  CheckInChild() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

void read_as_usual(const std::string& path, const std::string& program) { read_program(path, program); }

/// @return ends the test's program with 0: all passed; 3: refused
[[noreturn]] void end_by_check(const ProgramCheck::Reader& read, ProgramCheck::Limits limits = {}) {
  BundleMaker maker;
  const BundleFolder folder(maker.write());
  ::unsetenv("XDG_CACHE_HOME");
  ::unsetenv("HOME");
  plan_confinement([](const std::string&) {});
  confine(folder.path());
  try {
    ProgramCheck check(folder, {"text_encoder.pt", "denoiser.pt"}, limits, read);
    check.wait_for("denoiser.pt");
    std::exit(0);
  } catch (const BundleError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::exit(3);
  }
}

TEST_F(CheckInChild, PassesWhatTheExporterWrites) { EXPECT_EXIT(end_by_check(read_as_usual), ExitedWithCode(0), ""); }

TEST_F(CheckInChild, SaysWhatTheReaderRefuses) {
  EXPECT_EXIT(end_by_check([](const std::string& path, const std::string&) { throw BundleError(path + ": no\x1b"); }),
              ExitedWithCode(3), HasSubstr("/text_encoder.pt: no\\u{1b}"));
}

TEST_F(CheckInChild, RefusesAProgramThatEndsItsReader) {
  const auto crash = [](const std::string& path, const std::string&) {
    if (path.find("denoiser") != std::string::npos) ::raise(SIGSEGV);
  };
  EXPECT_EXIT(end_by_check(crash), ExitedWithCode(3),
              HasSubstr("/denoiser.pt: reading it ended its process: Segmentation fault; no program that the exporter "
                        "writes does that"));
}

TEST_F(CheckInChild, RefusesAProgramWhoseReaderLeaves) {
  EXPECT_EXIT(end_by_check([](const std::string&, const std::string&) { _exit(7); }), ExitedWithCode(3),
              HasSubstr("/text_encoder.pt: reading it ended its process with exit code 7"));
}

TEST_F(CheckInChild, RefusesAProgramThatIsNeverRead) {
  const auto never = [](const std::string&, const std::string&) {
    for (volatile bool on = true; on;) {
    }
  };
  EXPECT_EXIT(end_by_check(never, {.seconds = 1}), ExitedWithCode(3),
              HasSubstr("/text_encoder.pt: reading it takes more than 1 s of processor time"));
}

TEST_F(CheckInChild, RefusesAProgramThatTakesAllMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's memory is not limited";
#endif
  const auto hoard = [](const std::string&, const std::string&) {
    std::vector<std::vector<char>> all;
    for (;;) all.emplace_back(16 << 20, 'x');
  };
  EXPECT_EXIT(end_by_check(hoard, {.bytes = 256 << 20}), ExitedWithCode(3),
              HasSubstr("/text_encoder.pt: reading it takes more than 256 MiB of memory"));
}

TEST_F(CheckInChild, HasNoFilesOfItsParentAndNoRightToWrite) {
  const auto try_files = [](const std::string& path, const std::string&) {
    for (int file = 3; file < 100; ++file) {  // the pipe of the verdicts has no place to seek
      if (::lseek(file, 0, SEEK_CUR) >= 0) throw BundleError("file " + std::to_string(file) + " is open");
    }
    if (confinement_text().find("landlock") == 0 && std::ofstream(path, std::ios::app).is_open())
      throw BundleError("it can write to the bundle");
  };
  EXPECT_EXIT(end_by_check(try_files), ExitedWithCode(0), "");
}

TEST_F(CheckInChild, IsLeftOutWithoutASandbox) {
  BundleMaker maker;
  const BundleFolder folder(maker.write());
  ProgramCheck check(folder, {"denoiser.pt"}, {}, [](const std::string&, const std::string&) { std::abort(); });
  check.wait_for("denoiser.pt");
}

}  // namespace
}  // namespace steplapse
