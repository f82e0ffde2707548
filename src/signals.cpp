#include "signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace steplapse {
namespace {

std::atomic<int> noted{0};

void note(int signal) {
  if (noted.exchange(signal) != 0) _exit(128 + signal);
}

}  // namespace

void note_signals() {
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;  // writes under way go on; the run looks at the note between steps
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int noted_signal() { return noted; }

}  // namespace steplapse
