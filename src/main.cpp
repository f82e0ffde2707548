#include <csignal>
#include <iostream>

#include "base/machine.h"
#include "base/signals.h"
#include "base/standard_streams.h"
#include "base/wording.h"
#include "cli/command_line.h"
#include "steplapse/error.h"

int main(int argc, char** argv) {
  steplapse::keep_freed_memory();
  steplapse::keep_writing_without_readers();
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then an error of the write, which says where
  try {
    steplapse::set_wording(steplapse::with_flag_names);
    steplapse::watch_signals();
    const int code = steplapse::run_command_line({argv + 1, argv + argc});
    if (!std::cout.flush()) throw steplapse::OutputError("standard output: cannot write");
    return code;
  } catch (const std::exception& error) {
    const steplapse::Failure failure = steplapse::failure_of(error);
    std::cerr << "steplapse: " << failure.message << std::endl;
    return static_cast<int>(failure.code);
  }
}
