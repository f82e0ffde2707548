#include "machine.h"

#include <malloc.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <set>
#include <string>

namespace steplapse {
namespace {

bool may_use(int cpu) {
  static const cpu_set_t allowed = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
      for (int each = 0; each < CPU_SETSIZE; ++each) CPU_SET(each, &set);
    }
    return set;
  }();
  return cpu < CPU_SETSIZE && CPU_ISSET(cpu, &allowed);
}

/// The hyperthreads of a cpu's core, as "0,4"; empty where there is no such cpu.
std::string siblings_of(const std::filesystem::path& cpus, int cpu) {
  std::ifstream file(cpus / ("cpu" + std::to_string(cpu)) / "topology" / "thread_siblings_list");
  std::string list;
  std::getline(file, list);
  return list;
}

}  // namespace

int physical_cores(const std::filesystem::path& cpus) {
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!may_use(cpu)) continue;
    const std::string siblings = siblings_of(cpus, cpu);
    if (!siblings.empty()) cores.insert(siblings);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

int64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("MemAvailable:")) return std::stoll(line.substr(13)) * 1024;
  }
  return std::numeric_limits<int64_t>::max();
}

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);  // a large block of its own mapping goes back as soon as it is freed
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

}  // namespace steplapse
