#include "base/sandbox.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>

#include "base/file_io.h"
#include "base/text.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

// ---- Landlock: which files

// Headers that are older than the kernel lack these names.
constexpr uint64_t kRefer = 1ULL << 13, kTruncate = 1ULL << 14, kIoctl = 1ULL << 15;
constexpr uint64_t kBind = 1ULL << 0, kConnect = 1ULL << 1;             // TCP
constexpr uint64_t kAbstractSockets = 1ULL << 0, kSignals = 1ULL << 1;  // of processes outside

constexpr uint64_t kExecute = LANDLOCK_ACCESS_FS_EXECUTE;
constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kWrite = kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctl | kRefer |
                            LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                            LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG;
constexpr uint64_t kOfFiles =
    kExecute | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctl;

/// struct landlock_ruleset_attr as of ABI 6. An older kernel takes the beginning that it knows.
struct RulesetAttributes {
  uint64_t files, network, scoped;
};

size_t size_at(int abi) { return abi < 4 ? 8 : abi < 6 ? 16 : 24; }

uint64_t files_at(int abi) {
  uint64_t all = (1ULL << 13) - 1;  // ABI 1
  if (abi >= 2) all |= kRefer;
  if (abi >= 3) all |= kTruncate;
  if (abi >= 5) all |= kIoctl;
  return all;
}

/// What can't be opened isn't there, or can't be read anyway.
void allow(int ruleset, const fs::path& path, uint64_t access) {
  const Descriptor file(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!file.is_open()) return;
  struct stat status{};
  if (::fstat(file.number(), &status) != 0) return;
  if (!S_ISDIR(status.st_mode)) access &= kOfFiles;
  const landlock_path_beneath_attr rule{.allowed_access = access, .parent_fd = file.number()};
  ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/// @return the ABI that stands; 0: none, and errno says why
int enter_landlock(const SandboxRules& rules) {
  const auto abi =
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  if (abi <= 0) return 0;
  const uint64_t known = files_at(abi);
  const RulesetAttributes attributes{known, kBind | kConnect, kAbstractSockets | kSignals};
  const Descriptor ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size_at(abi), 0)));
  if (!ruleset.is_open()) return 0;
  for (const fs::path& path : rules.read) allow(ruleset.number(), path, kRead & known);
  for (const fs::path& path : rules.write) allow(ruleset.number(), path, kWrite & known);
  for (const fs::path& path : rules.execute) allow(ruleset.number(), path, (kExecute | kRead) & known);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 0;
  return ::syscall(SYS_landlock_restrict_self, ruleset.number(), 0) == 0 ? abi : 0;
}

// ---- seccomp: which calls

/// What a program that only computes has no use for. By io_uring all others could be asked for past the filter.
constexpr int kRefused[] = {
    SCMP_SYS(connect),           SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register), SCMP_SYS(ptrace),         SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),    SCMP_SYS(chmod),
    SCMP_SYS(fchmodat),          SCMP_SYS(chown),          SCMP_SYS(lchown),
    SCMP_SYS(fchownat),          SCMP_SYS(setxattr),       SCMP_SYS(lsetxattr),
    SCMP_SYS(fsetxattr),         SCMP_SYS(removexattr),    SCMP_SYS(lremovexattr),
    SCMP_SYS(fremovexattr),      SCMP_SYS(utime),          SCMP_SYS(utimes),
    SCMP_SYS(futimesat),         SCMP_SYS(utimensat),      SCMP_SYS(mount),
    SCMP_SYS(umount2),           SCMP_SYS(pivot_root),     SCMP_SYS(chroot),
    SCMP_SYS(unshare),           SCMP_SYS(setns),          SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),   SCMP_SYS(userfaultfd),    SCMP_SYS(add_key),
    SCMP_SYS(request_key),       SCMP_SYS(keyctl),         SCMP_SYS(init_module),
    SCMP_SYS(finit_module),      SCMP_SYS(delete_module),  SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),   SCMP_SYS(reboot),         SCMP_SYS(swapon),
    SCMP_SYS(swapoff),           SCMP_SYS(acct),           SCMP_SYS(quotactl),
    SCMP_SYS(sethostname),       SCMP_SYS(setdomainname),  SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),     SCMP_SYS(clock_adjtime),  SCMP_SYS(adjtimex),
    SCMP_SYS(open_by_handle_at),
};

/// @return 0, or the error below 0
int fill_filter(scmp_filter_ctx filter, bool may_execute, int landlock_abi) {
  int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
  const auto refuse = [&](int call) {
    if (error == 0) error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
  };
  for (const int call : kRefused) refuse(call);
  if (!may_execute) {
    refuse(SCMP_SYS(execve));
    refuse(SCMP_SYS(execveat));
  }
  // Sockets within the machine stay: CUDA makes some.
  if (error == 0)
    error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_NE, AF_UNIX));
  if (landlock_abi >= 3) return error;
  refuse(SCMP_SYS(truncate));
  const auto refuse_emptying = [&](int call, unsigned argument) {  // O_TRUNC empties what is opened to read, too
    if (error == 0)
      error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 1,
                               SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, O_TRUNC | O_ACCMODE, O_TRUNC | O_RDONLY));
  };
  refuse_emptying(SCMP_SYS(open), 1);
  refuse_emptying(SCMP_SYS(openat), 2);
  if (error == 0) error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0);
  return error;
}

/// @return 0, or the error below 0
int enter_seccomp(bool may_execute, int landlock_abi) {
  const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (!filter) return -ENOMEM;
  int error = fill_filter(filter, may_execute, landlock_abi);
  if (error == 0) error = seccomp_load(filter);
  seccomp_release(filter);
  return error;
}

// ---- what every program needs

/// The folders of the files that are mapped now: libraries.
void add_mapped(std::set<fs::path>& folders) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const size_t path = line.find('/');
    if (path != std::string::npos && line.find(".so", path) != std::string::npos)
      folders.insert(fs::path(line.substr(path)).parent_path());
  }
}

/// The folders that the loader looks in: RUNPATH, LD_LIBRARY_PATH, and the system's.
void add_searched(std::set<fs::path>& folders) {
  void* const program = ::dlopen(nullptr, RTLD_LAZY);
  Dl_serinfo size{};
  if (!program || ::dlinfo(program, RTLD_DI_SERINFOSIZE, &size) != 0) return;
  std::vector<char> room(size.dls_size);
  auto* const searched = reinterpret_cast<Dl_serinfo*>(room.data());
  searched->dls_size = size.dls_size;
  searched->dls_cnt = size.dls_cnt;
  if (::dlinfo(program, RTLD_DI_SERINFO, searched) == 0) {
    for (unsigned i = 0; i < searched->dls_cnt; ++i) {
      const fs::path folder = searched->dls_serpath[i].dls_name;
      if (folder.is_absolute() && folder != folder.root_path()) folders.insert(folder);
    }
  }
  ::dlclose(program);
}

/// Fonts and their settings of this user.
void add_of_user(std::vector<fs::path>& read) {
  const char* const home = std::getenv("HOME");
  if (home && *home == '/') {
    for (const char* name : {".fonts", ".fonts.conf", ".local/share/fonts", ".cache/fontconfig", ".config/fontconfig",
                             ".terminfo", ".nv/ComputeCache"})
      read.push_back(fs::path(home) / name);
  }
  for (const char* name : {"FONTCONFIG_PATH", "FONTCONFIG_FILE", "TERMINFO", "LOCPATH", "ICU_DATA"}) {
    const char* const value = std::getenv(name);
    if (value && *value == '/') read.emplace_back(value);
  }
}

/// The devices of NVIDIA's driver. They must be there: what makes them (nvidia-modprobe) is a program, and starts none here.
void add_nvidia(std::vector<fs::path>& write) {
  std::error_code unreadable;
  for (fs::directory_iterator entry("/dev", unreadable), end; !unreadable && entry != end;
       entry.increment(unreadable)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("nvidia") || name == "dxg") write.push_back(entry->path());
  }
}

}  // namespace

std::string Walls::text() const {
  std::string text = landlock_abi > 0 ? "landlock ABI " + std::to_string(landlock_abi) : "";
  if (seccomp) text += std::string(text.empty() ? "" : ", ") + "seccomp";
  if (text.empty()) return "none";
  if (threads_outside > 0 && landlock_abi > 0)
    text += ", without " + counted(static_cast<int64_t>(threads_outside), "earlier thread");
  return text;
}

Walls enter(const SandboxRules& rules) {
  Walls walls;
  walls.threads_outside = threads_here() - 1;
  errno = 0;
  walls.landlock_abi = enter_landlock(rules);
  if (walls.landlock_abi == 0) walls.why_not.push_back(std::string("Landlock: ") + std::strerror(errno));
  const int error = enter_seccomp(!rules.execute.empty(), walls.landlock_abi);
  walls.seccomp = error == 0;
  if (error != 0) walls.why_not.push_back(std::string("seccomp: ") + std::strerror(-error));
  return walls;
}

SandboxRules rules_of_the_system() {
  SandboxRules rules;
  std::set<fs::path> folders{"/usr/lib", "/usr/share", "/usr/local/lib", "/usr/local/share", "/proc", "/sys"};
  add_mapped(folders);
  add_searched(folders);
  rules.read.assign(folders.begin(), folders.end());
  for (const char* path :
       {"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone", "/etc/fonts",
        "/etc/locale.alias", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/terminfo",
        "/var/cache/fontconfig", "/dev/zero", "/dev/random", "/dev/urandom"})
    rules.read.emplace_back(path);
  add_of_user(rules.read);
  rules.write = {"/dev/null", "/dev/tty"};
  // Files of /proc are made anew when nobody has them open, and a rule is for the file that it was made with.
  static const int kept = ::open("/proc/self/clear_refs", O_PATH | O_CLOEXEC);
  if (kept >= 0) rules.write.emplace_back("/proc/self/clear_refs");
  add_nvidia(rules.write);
  return rules;
}

size_t threads_here() {
  std::error_code unreadable;
  const fs::directory_iterator tasks("/proc/self/task", unreadable);
  return unreadable ? 1 : static_cast<size_t>(std::distance(fs::begin(tasks), fs::end(tasks)));
}

}  // namespace steplapse
