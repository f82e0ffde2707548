#include "machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>
#include <functional>

#include "temporary_folder.h"

namespace steplapse {
namespace {

using testing::TemporaryFolder;

/// physical_cores() where the kernel's folder says that each cpu has these siblings.
int cores_with(const std::function<std::string(int cpu)>& siblings) {
  const TemporaryFolder folder;
  for (int cpu = 0; cpu < 256; ++cpu) {
    const auto topology = folder.path() / ("cpu" + std::to_string(cpu)) / "topology";
    std::filesystem::create_directories(topology);
    std::ofstream(topology / "thread_siblings_list") << siblings(cpu) << '\n';
  }
  return physical_cores(folder.path());
}

int cpus_of_this_process() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  return CPU_COUNT(&set);
}

TEST(Machine, CountsEachCoreItMayUseOnce) {
  EXPECT_EQ(cores_with([](int cpu) { return std::to_string(cpu); }), std::min(256, cpus_of_this_process()));
  EXPECT_EQ(cores_with([](int) { return "0-255"; }), 1);
  EXPECT_EQ(physical_cores("/nowhere"), 1);
}

TEST(Machine, HasMemoryLeft) { EXPECT_GT(available_memory(), 1 << 20); }

}  // namespace
}  // namespace steplapse
