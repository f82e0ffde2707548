#include "base/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>
#include <functional>
#include <limits>

#include "support/temporary_folder.h"

namespace steplapse {
namespace {

using test_support::TemporaryFolder;

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
}

TEST(Machine, EachCpuIsACoreWhereNothingIsSaidOfThem) { EXPECT_EQ(physical_cores("/nowhere"), cpus_of_this_process()); }

/// A machine with 8 GiB available, a process in the group a/b, and no limits yet.
class MachineMemory : public ::testing::Test {
 protected:
  MachineMemory() {
    write("proc/meminfo", "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n");
    write("proc/self/cgroup", "4:memory:/old\n0::/a/b\n");
    write("sys/fs/cgroup/a/b/memory.max", "max\n");
  }

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    folder_.write(name, text);
  }

  int64_t gigabytes() const { return available_memory(folder_.path()) >> 30; }

  const TemporaryFolder folder_;
};

TEST_F(MachineMemory, IsWhatTheKernelSaysWithoutALimit) { EXPECT_EQ(gigabytes(), 8); }

TEST_F(MachineMemory, IsWhatTheLimitLeaves) {
  write("sys/fs/cgroup/a/b/memory.max", std::to_string(4LL << 30));
  EXPECT_EQ(gigabytes(), 4);
  write("sys/fs/cgroup/a/b/memory.current", std::to_string(3LL << 30));
  EXPECT_EQ(gigabytes(), 1);
  write("sys/fs/cgroup/a/b/memory.stat", "inactive_anon 7\ninactive_file " + std::to_string(1LL << 30) +
                                             "\nactive_file " + std::to_string(1LL << 30) + "\n");
  EXPECT_EQ(gigabytes(), 3);
  write("sys/fs/cgroup/a/b/memory.max", std::to_string(100LL << 30));
  EXPECT_EQ(gigabytes(), 8);
}

TEST_F(MachineMemory, IsWithinTheLimitsAround) {
  write("sys/fs/cgroup/a/memory.max", std::to_string(2LL << 30));
  EXPECT_EQ(gigabytes(), 2);
  write("sys/fs/cgroup/memory.max", std::to_string(1LL << 30));  // a container's own group is its root
  EXPECT_EQ(gigabytes(), 1);
  write("sys/fs/cgroup/memory.current", std::to_string(2LL << 30));
  EXPECT_EQ(gigabytes(), 0);
}

TEST_F(MachineMemory, OfAnotherGroupIsNoConcern) {
  write("proc/self/cgroup", "4:memory:/a/b\n");
  write("sys/fs/cgroup/a/b/memory.max", "1");
  EXPECT_EQ(gigabytes(), 8);
  EXPECT_EQ(available_memory("/nowhere"), std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace steplapse
