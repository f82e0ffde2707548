// steplapse without its first wall: the operator silu of libtorch does what a hostile bundle would, had it found a way past
// all checks. What came of it is said on standard error, a line of JSON for each thread that tried. test_sandbox.py runs it.

#include <ATen/Parallel.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <torch/library.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/signals.h"
#include "base/wording.h"
#include "cli/command_line.h"
#include "steplapse/error.h"

namespace {

std::string name_of_error(int error) { return error == 0 ? "done" : ::strerrorname_np(error); }

std::string opening(const char* path, int flags) {
  const int file = ::open(path, flags | O_CLOEXEC, 0600);
  const int error = file < 0 ? errno : 0;
  if (file >= 0) ::close(file);
  return name_of_error(error);
}

std::string connecting() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int file = ::socket(AF_INET, SOCK_STREAM, 0);
  if (file < 0) return name_of_error(errno);
  const bool is_connected = ::connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  return name_of_error(is_connected ? 0 : errno);
}

std::string executing() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return name_of_error(errno);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/bin/true", "true", static_cast<char*>(nullptr));
    const int error = errno;
    _exit(::write(ends[1], &error, sizeof error) > 0 ? 1 : 2);
  }
  ::close(ends[1]);
  int error = 0;
  if (::read(ends[0], &error, sizeof error) <= 0) error = 0;
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return name_of_error(error);
}

void attack(const std::string& thread) {
  const char* const target = std::getenv("STEPLAPSE_ATTACKED");  // a file of the user's
  const std::string beside = std::string(target) + ".new";
  const nlohmann::json came_of_it{{"thread", thread},
                                  {"write", opening(target, O_WRONLY)},
                                  {"read", opening(target, O_RDONLY)},
                                  {"create", opening(beside.c_str(), O_WRONLY | O_CREAT)},
                                  {"delete", name_of_error(::unlink(target) == 0 ? 0 : errno)},
                                  {"connect", connecting()},
                                  {"execve", executing()}};
  std::cerr << came_of_it.dump() + "\n" << std::flush;
}

at::Tensor silu(const at::Tensor& x) {
  static std::atomic<bool> is_done{false};
  if (!is_done.exchange(true)) {
    attack("that computes");
    std::thread(attack, "of its own").join();
  }
  return x.div((-x).exp().add(1));
}

TORCH_LIBRARY_IMPL(aten, CPU, operators) { operators.impl("silu", silu); }

}  // namespace

int main(int argc, char** argv) {
  try {
    steplapse::set_wording(steplapse::with_flag_names);
    steplapse::watch_signals();
    return steplapse::run_command_line({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    const steplapse::Failure failure = steplapse::failure_of(error);
    std::cerr << "steplapse: " << failure.message << std::endl;
    return static_cast<int>(failure.code);
  }
}
