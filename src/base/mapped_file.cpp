#include "base/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <system_error>

namespace steplapse {
namespace {

/// What a signal's handler may read: no locks, no memory that moves.
struct KnownMapping {
  std::atomic<char*> begin = nullptr;
  std::atomic<size_t> size = 0;
  std::atomic<bool> was_cut = false;
};
std::array<KnownMapping, 256> known_mappings;  // of more the last ones are not guarded
std::array<std::string, 256> known_paths;
std::mutex known_mutex;  // not for the handler

/// Puts zeros where the file has nothing any more.
void fill_gap(int signal, siginfo_t* info, void*) {
  auto* const address = static_cast<char*>(info->si_addr);
  for (KnownMapping& known : known_mappings) {
    char* const begin = known.begin;
    if (!begin || address < begin || address >= begin + known.size) continue;
    const auto page = static_cast<uintptr_t>(::getpagesize());
    void* const at = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(address) / page * page);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (::mmap(at, page, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) break;
    known.was_cut = true;
    return;
  }
  std::signal(signal, SIG_DFL);  // another fault: it comes again, and ends the process
}

void guard_against_cut_files() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action{};
    action.sa_sigaction = fill_gap;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGBUS, &action, nullptr);
  });
}

size_t place_for(char* begin, size_t size, std::string path) {
  const std::lock_guard guard(known_mutex);
  for (size_t i = 0; i < known_mappings.size(); ++i) {
    if (known_mappings[i].begin) continue;
    known_paths[i] = std::move(path);
    known_mappings[i].size = size;
    known_mappings[i].begin = begin;
    return i;
  }
  return known_mappings.size();
}

}  // namespace

MappedFile::MappedFile(int descriptor, size_t size, std::string path) : size_(size), place_(known_mappings.size()) {
  if (size == 0) return;
  guard_against_cut_files();
  void* const mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0);
  if (mapped == MAP_FAILED) throw std::system_error(errno, std::generic_category());
  bytes_ = static_cast<char*>(mapped);
  place_ = place_for(bytes_, size, std::move(path));
}

MappedFile::~MappedFile() {
  if (!bytes_) return;
  if (place_ < known_mappings.size()) {
    const std::lock_guard guard(known_mutex);
    known_mappings[place_].begin = nullptr;
    known_mappings[place_].was_cut = false;
  }
  ::munmap(bytes_, size_);
}

std::optional<std::string> cut_mapped_file() {
  const std::lock_guard guard(known_mutex);
  for (size_t i = 0; i < known_mappings.size(); ++i) {
    if (known_mappings[i].was_cut) return known_paths[i];
  }
  return std::nullopt;
}

}  // namespace steplapse
