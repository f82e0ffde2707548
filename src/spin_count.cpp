// Threads of OpenMP wait for each other at the end of each parallel piece of work. libgomp lets them spin for some
// milliseconds before they sleep: good on an idle machine, and a disaster where other programs keep the cores busy, since
// who spins holds the core that the thread waited for needs. A shorter spin costs an idle machine a few percent with the
// smallest models and nothing with large ones; docs/performance.md has the figures.
//
// libgomp reads the length from GOMP_SPINCOUNT while libraries are loaded, long before main(). So this runs before the
// libraries' own start, and begins the program again with the variable set. That costs some milliseconds.

#include <sys/auxv.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace {

constexpr const char* kSpinCount = "GOMP_SPINCOUNT=2000";

/// The user's own words win; and after the program has begun again, ours are there.
bool is_settled(char** environment) {
  for (; *environment; ++environment) {
    for (const char* name : {"GOMP_SPINCOUNT=", "OMP_WAIT_POLICY="}) {
      if (std::strncmp(*environment, name, std::strlen(name)) == 0) return true;
    }
  }
  return false;
}

void set_spin_count(int, char** arguments, char** environment) {
  const bool run_by_loader = getauxval(AT_BASE) == 0;  // ld.so PROGRAM: then /proc/self/exe is ld.so
  if (is_settled(environment) || run_by_loader) return;
  char program[4096];  // not /proc/self/exe itself, which would become the process's name
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0) return;
  program[length] = '\0';
  std::vector<char*> fuller;
  for (char** entry = environment; *entry; ++entry) fuller.push_back(*entry);
  fuller.push_back(const_cast<char*>(kSpinCount));
  fuller.push_back(nullptr);
  execve(program, arguments, fuller.data());
  // It returns where it failed: the program goes on as it is.
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const before_libraries_start)(int, char**,
                                                                                   char**) = set_spin_count;

}  // namespace
