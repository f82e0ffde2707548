#include "steplapse/error.h"

#include <gtest/gtest.h>

#include <new>
#include <system_error>

namespace steplapse {
namespace {

/// Of libraries that say how much they lacked.
struct LackOfMemory : std::bad_alloc {
  const char* what() const noexcept override { return "Tried to allocate 4.00 GiB"; }
};

constexpr const char* kWayOut = "; a smaller `size` or a bundle exported with a smaller dtype needs less";

TEST(Error, LackOfMemoryHasItsExitCode) {
  const Failure failure = failure_of(std::bad_alloc());
  EXPECT_EQ(failure.message, std::string("out of memory") + kWayOut);
  EXPECT_EQ(failure.code, ExitCode::memory);
}

TEST(Error, LackOfMemorySaysHowMuchWhereThatIsKnown) {
  EXPECT_EQ(failure_of(LackOfMemory()).message, std::string("out of memory, 4.00 GiB more needed") + kWayOut);
}

TEST(Error, LackOfMemoryIsKnownByItsText) {
  for (const char* text : {"CUDA out of memory.", "DefaultCPUAllocator: can't allocate memory", "std::bad_alloc"}) {
    EXPECT_TRUE(is_lack_of_memory(text)) << text;
  }
  EXPECT_FALSE(is_lack_of_memory("index out of range in self"));
}

TEST(Error, ThreadsThatCannotBeStartedAreTheMachinesFault) {
  const Failure failure =
      failure_of(std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again)));
  EXPECT_EQ(
      failure.message,
      "no thread can be started: Resource temporarily unavailable; expected room for more of them: see ulimit -u, and "
      "the container's limit of processes");
  EXPECT_EQ(failure.code, ExitCode::run_failed);
}

}  // namespace
}  // namespace steplapse
