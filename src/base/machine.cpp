#include "base/machine.h"

#include <ATen/Parallel.h>
#include <malloc.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "base/confinement.h"

namespace steplapse {
namespace {

/// The cpus that this process may use; all of them where the kernel has more than a cpu_set_t can hold.
cpu_set_t allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) {
    const int all = std::min<int>(static_cast<int>(std::thread::hardware_concurrency()), CPU_SETSIZE);
    for (int cpu = 0; cpu < all; ++cpu) CPU_SET(cpu, &set);
  }
  return set;
}

/// The hyperthreads of a cpu's core, as "0,4"; empty where there is no such cpu.
std::string siblings_of(const std::filesystem::path& cpus, int cpu) {
  std::ifstream file(cpus / ("cpu" + std::to_string(cpu)) / "topology" / "thread_siblings_list");
  std::string list;
  std::getline(file, list);
  return list;
}

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

/// The number after `name` on a line of its own; none where there is no such line.
std::optional<int64_t> number_after(const std::filesystem::path& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    int64_t number = 0;
    if (line.starts_with(name) && std::istringstream(line.substr(name.size())) >> number) return number;
  }
  return std::nullopt;
}

/// The bytes that one group's own limit leaves. The kernel counts cached files as used, but drops them when asked.
int64_t left_in_group(const std::filesystem::path& group) {
  const auto limit = number_after(group / "memory.max", "");  // "max" is no number
  if (!limit) return kUnlimited;
  const int64_t used = number_after(group / "memory.current", "").value_or(0);
  const int64_t cached = number_after(group / "memory.stat", "inactive_file ").value_or(0) +
                         number_after(group / "memory.stat", "active_file ").value_or(0);
  return std::max<int64_t>(0, *limit - std::max<int64_t>(0, used - cached));
}

/// The process's group of cgroup v2, as "a/b"; empty for the root, which may be a container's own group.
std::filesystem::path group_of_this_process(const std::filesystem::path& root) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::")) return std::filesystem::path(line.substr(3)).relative_path();
  }
  return {};
}

int64_t left_in_groups(const std::filesystem::path& root) {
  const std::filesystem::path groups = root / "sys/fs/cgroup";
  std::filesystem::path group = group_of_this_process(root);
  int64_t least = left_in_group(groups);
  for (; !group.empty(); group = group.parent_path()) least = std::min(least, left_in_group(groups / group));
  return least;
}

}  // namespace

std::optional<std::string> cpu_info(const std::string& name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with(name) && colon != std::string::npos) return line.substr(colon + 2);
  }
  return std::nullopt;
}

int physical_cores(const std::filesystem::path& cpus) {
  const cpu_set_t allowed = allowed_cpus();
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string siblings = siblings_of(cpus, cpu);
    if (!siblings.empty()) cores.insert(siblings);
  }
  return std::max(1, cores.empty() ? CPU_COUNT(&allowed) : static_cast<int>(cores.size()));
}

void set_threads(int count) {
  after_confinement([count] {  // libtorch starts threads here
    if (count > 0) {
      at::set_num_threads(count);
    } else if (!std::getenv("OMP_NUM_THREADS")) {
      at::set_num_threads(physical_cores());
    }
  });
}

int64_t available_memory(const std::filesystem::path& root) {
  const auto kilobytes = number_after(root / "proc/meminfo", "MemAvailable:");
  return std::min(kilobytes ? *kilobytes * 1024 : kUnlimited, left_in_groups(root));
}

int64_t most_memory(const std::filesystem::path& root) {
  const int64_t available = available_memory(root);
  int64_t more = number_after(root / "proc/meminfo", "SwapFree:").value_or(0) * 1024;
#ifdef __GLIBC__
  more += static_cast<int64_t>(mallinfo2().fordblks);
#endif
  return available > kUnlimited - more ? kUnlimited : available + more;
}

int64_t memory_taken_by(const std::function<void()>& work) {
  const std::filesystem::path status = "/proc/self/status";
  std::ofstream("/proc/self/clear_refs") << 5;  // VmHWM, the peak, starts again from what is resident now (man 5 proc)
  const auto before = number_after(status, "VmRSS:");
  work();
  const auto peak = number_after(status, "VmHWM:");
  return before && peak ? std::max<int64_t>(0, *peak - *before) * 1024 : 0;
}

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);  // a large block of its own mapping goes back as soon as it is freed
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

}  // namespace steplapse
