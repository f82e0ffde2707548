#include "base/broker.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "base/child_process.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

struct BrokersWork {
  std::vector<fs::path> files, made;
  fs::path scratch;
};

fs::path part_of(const fs::path& file) { return file.string() + ".part"; }

void clean_up(const BrokersWork& work) {
  std::error_code ignored;
  for (const fs::path& file : work.files) fs::remove(part_of(file), ignored);
  if (!work.scratch.empty()) fs::remove_all(work.scratch, ignored);
  for (auto folder = work.made.rbegin(); folder != work.made.rend(); ++folder) ::rmdir(folder->c_str());
}

/// Until the other process is gone, or has closed its end.
[[noreturn]] void serve(int socket, const BrokersWork& work) {
  uint64_t request = 0;
  for (;;) {
    const ssize_t size = ::read(socket, &request, sizeof request);
    if (size < 0 && errno == EINTR) continue;
    if (size != sizeof request || request >= work.files.size()) break;
    const fs::path& file = work.files[request];
    const int error = std::rename(part_of(file).c_str(), file.c_str()) == 0 ? 0 : errno;
    if (::write(socket, &error, sizeof error) != sizeof error) break;
  }
  clean_up(work);
  _exit(0);
}

}  // namespace

Broker::Broker(std::vector<fs::path> files, std::vector<fs::path> made, fs::path scratch) : socket_(-1) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error(ExitCode::run_failed, "cannot make a socket for the sandbox's broker");
  const BrokersWork work{std::move(files), std::move(made), std::move(scratch)};
  process_ = ::fork();
  if (process_ == 0) {
    close_all_but(ends[1]);
    ::prctl(PR_SET_NAME, "steplapse-files");
    serve(ends[1], work);
  }
  ::close(ends[1]);
  socket_ = Descriptor(ends[0]);
  if (process_ < 0) throw Error(ExitCode::run_failed, "cannot start the sandbox's broker");
}

int Broker::finish(size_t file) {
  const std::lock_guard guard(mutex_);
  const uint64_t request = file;
  int error = EPIPE;
  if (::send(socket_.number(), &request, sizeof request, MSG_NOSIGNAL) != sizeof request) return EPIPE;
  while (::read(socket_.number(), &error, sizeof error) < 0 && errno == EINTR) {
  }
  return error;
}

void Broker::end() noexcept {
  const std::lock_guard guard(mutex_);
  if (process_ < 0) return;
  socket_.close();
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
}

}  // namespace steplapse
